//! A small cloud: a real provider for the engine, package `cloud`, whose behaviour follows the inputs of
//! what is made in it, with a log of everything it was asked.
//!
//! Any type of the package can be made, `cloud:test:Thing` by custom. Outputs are the inputs and
//! `address` = `address-of-NAME`, which is unknown in the preview of a create. An id is `NAME-1`,
//! `NAME-2`, ... Inputs that change what happens:
//!
//! | Input | Effect |
//! |---|---|
//! | `invalid: "why"` | `Check` refuses it |
//! | `fail: "why"` | create and update fail and nothing has happened |
//! | `vanish: "why"` | create fails and nobody knows what has happened |
//! | `partial: "why"` | create and update are done but the thing does not work |
//! | `failDelete: "why"` | delete fails |
//! | `adopt: true` | create finds what has this name already, and makes it only when there is none |
//! | `fixed: ANY` | a change of it replaces the thing |
//! | `slow: N` | create and update take N milliseconds |
//! | `secretOutput: "text"` | output `hidden` is that text, as a secret |
//!
//! Functions: `cloud:test:echo` returns its arguments, `cloud:test:lookup` the `address` of `name`
//! (`missing` is a failure, `broken` and `away` are RPC errors). Method `cloud:test:Thing/greet` returns
//! `text`, a greeting of `to` (`nobody` is a failure). Remote component `cloud:test:Group` makes a Thing
//! `NAME-member` of its own `label`, and gives its `memberAddress`.

mod construct;
mod rpc;
mod service;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use pulumi_auto::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::transport::server::TcpIncoming;

use super::world::eventually;

pub type Properties = BTreeMap<String, Value>;

/// One call of the engine.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// `check`, `create`, `invoke`, ...
    pub call: &'static str,
    /// The resource's name, or the token of a function.
    pub name: String,
    pub id: String,
    /// What is wanted: news, arguments or configuration; of a delete, the old inputs.
    pub inputs: Properties,
    /// Of create, update and delete, in seconds; 0 for none.
    pub timeout: f64,
    pub preview: bool,
    /// Of a call: the engine knows from where in the program.
    pub traced: bool,
    /// Which provider instance was asked: each has a connection of its own.
    pub connection: Option<SocketAddr>,
}

/// Cheap to clone; the server ends with the last clone.
#[derive(Clone)]
pub struct Cloud {
    shared: Arc<Shared>,
    server: Arc<Provider>,
}

#[derive(Default)]
struct Shared {
    log: Mutex<Vec<Seen>>,
    held: Mutex<BTreeSet<String>>,
    released: tokio::sync::Notify,
    /// What exists, by id.
    things: Mutex<BTreeMap<String, Properties>>,
    made: Mutex<HashMap<String, u32>>,
}

/// A runtime of its own, so that its end is that of a process: with all connections and calls.
struct Provider {
    port: u16,
    runtime: Mutex<Option<Runtime>>,
}

impl Provider {
    fn begin(&self, listener: std::net::TcpListener, shared: &Arc<Shared>) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let router = tonic::transport::Server::builder().add_service(service::server(Arc::clone(shared)));
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            router.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))).await.unwrap();
        });
        *self.runtime.lock().unwrap() = Some(runtime);
    }

    fn end(&self) {
        self.runtime.lock().unwrap().take().into_iter().for_each(Runtime::shutdown_background);
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.end();
    }
}

fn listen(port: u16) -> std::io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Cloud {
    pub async fn start() -> Self {
        let listener = listen(0).unwrap();
        let provider = Provider { port: listener.local_addr().unwrap().port(), runtime: Mutex::default() };
        let shared = Arc::new(Shared::default());
        provider.begin(listener, &shared);
        Self { shared, server: Arc::new(provider) }
    }

    /// The provider dies with every call that is under way, and another one takes its place; the things
    /// that were made are still there.
    pub async fn die(&self) {
        self.server.end();
        let mut listener = listen(self.port());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while listener.is_err() && std::time::Instant::now() < deadline {
            // The port is free once the other runtime has dropped its tasks.
            tokio::task::yield_now().await;
            listener = listen(self.port());
        }
        self.server.begin(listener.unwrap(), &self.shared);
    }

    /// Of 127.0.0.1; for `Workspace::with_attached_provider("cloud", ..)`.
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// Everything that was asked so far, in order.
    pub fn log(&self) -> Vec<Seen> {
        self.shared.log.lock().unwrap().clone()
    }

    /// The calls that change something, as `create NAME`, `update NAME`, `delete ID`. Not previews.
    pub fn changes(&self) -> Vec<String> {
        let changing = ["create", "update", "delete"];
        let log = self.log().into_iter().filter(|seen| !seen.preview && changing.contains(&seen.call));
        log.map(|seen| match seen.call {
            "delete" => format!("delete {}", seen.id),
            call => format!("{call} {}", seen.name),
        })
        .collect()
    }

    /// The last call of this kind for this name; fails the test when there was none.
    pub fn last(&self, call: &str, name: &str) -> Seen {
        let found = self.log().into_iter().rev().find(|seen| seen.call == call && seen.name == name);
        found.unwrap_or_else(|| panic!("no {call} {name} among {:?}", self.calls()))
    }

    /// All calls, as `create NAME`.
    pub fn calls(&self) -> Vec<String> {
        self.log().into_iter().map(|seen| format!("{} {}", seen.call, seen.name)).collect()
    }

    /// Forgets the log, not the things.
    pub fn forget_log(&self) {
        self.shared.log.lock().unwrap().clear();
    }

    /// From now on creates and updates of this name wait until [`Cloud::release`].
    pub fn hold(&self, name: &str) {
        self.shared.held.lock().unwrap().insert(name.to_owned());
    }

    pub fn release(&self, name: &str) {
        self.shared.held.lock().unwrap().remove(name);
        self.shared.released.notify_waiters();
    }

    /// Waits until the engine has asked this.
    pub async fn until(&self, call: &str, name: &str) {
        let asked = || self.log().iter().any(|seen| seen.call == call && seen.name == name);
        eventually(&format!("the engine asked to {call} {name}"), asked).await;
    }

    /// Makes a thing without the engine: for imports and reads. Overwriting one is drift.
    pub fn plant(&self, id: &str, inputs: Properties) {
        self.shared.things.lock().unwrap().insert(id.to_owned(), inputs);
    }

    /// Removes a thing without the engine.
    pub fn uproot(&self, id: &str) {
        self.shared.things.lock().unwrap().remove(id);
    }

    /// Ids of what exists.
    pub fn ids(&self) -> Vec<String> {
        self.shared.things.lock().unwrap().keys().cloned().collect()
    }
}

impl Shared {
    fn note(&self, seen: Seen) {
        self.log.lock().unwrap().push(seen);
    }

    /// The id of what a create of this name is about.
    fn id_for(&self, name: &str, inputs: &Properties) -> String {
        if inputs.get("adopt") == Some(&Value::Bool(true)) {
            let things = self.things.lock().unwrap();
            let found = things.keys().find(|id| id.rsplit_once('-').is_some_and(|(of, _)| of == name));
            if let Some(id) = found {
                return id.clone();
            }
        }
        self.next_id(name)
    }

    fn next_id(&self, name: &str) -> String {
        let mut made = self.made.lock().unwrap();
        let count = made.entry(name.to_owned()).or_default();
        *count += 1;
        format!("{name}-{count}")
    }

    async fn until_released(&self, name: &str) {
        loop {
            let released = self.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            if !self.held.lock().unwrap().contains(name) {
                return;
            }
            released.await;
        }
    }
}
