//! A small Pulumi service: what the CLI 3.276 speaks to when it is logged in, in memory and on a free port.
//!
//! It keeps what the real one promises: tokens of users, leases of updates that expire and can be renewed, one update
//! of a stack at a time, journals and checkpoints, secrets with a key for each stack, lists in pages. Its clock can be
//! moved, so that no test waits for a lease.

mod answer;
mod cipher;
mod data;
mod delta;
mod replay;
mod stacks;
mod updates;
mod users;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, patch, post};
use serde_json::Value as Json;
use tokio::runtime::Runtime;

use answer::{Answer, Refusal};
use data::Data;
pub use data::{Journals, ORGANIZATION, TOKEN};

/// Cheap to clone; the server ends with the last clone.
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
    server: Arc<Server>,
}

pub struct Shared {
    data: Mutex<Data>,
    log: Mutex<Vec<String>>,
}

struct Server {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

impl Shared {
    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap()
    }
}

impl Service {
    /// One whose updates are written as the newest CLI likes it best.
    pub fn start() -> Self {
        Self::start_with(Journals::Entries)
    }

    pub fn start_with(journals: Journals) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { data: Mutex::new(Data::new(journals)), log: Mutex::default() });
        let routes = routes(&shared);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, routes).await.unwrap();
        });
        Self { shared, server: Arc::new(Server { address, runtime: Some(runtime) }) }
    }

    /// As `pulumi login` takes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Another user, with a token; alone in an organization of the same name.
    pub fn add_user(&self, name: &str, token: &str) {
        self.shared.data().add_user(name, token);
    }

    /// So much time passes for the service: leases come to their ends.
    pub fn pass(&self, time: Duration) {
        self.shared.data().offset += time;
    }

    /// What was asked, as `METHOD /path STATUS`.
    pub fn log(&self) -> Vec<String> {
        self.shared.log.lock().unwrap().clone()
    }

    /// What a stack's resources are now.
    pub fn resources(&self, project: &str, stack: &str) -> Vec<Json> {
        let exported = self.shared.data().exported(&data::id(ORGANIZATION, project, stack));
        let exported = exported.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        exported["deployment"]["resources"].as_array().cloned().unwrap_or_default()
    }

    /// Every update of a stack that changed something, the oldest first: kind, result, and how many events it has.
    pub fn updates(&self, project: &str, stack: &str) -> Vec<(String, String, usize)> {
        let data = self.shared.data();
        let id = data::id(ORGANIZATION, project, stack);
        let mine = data.updates.values().filter(|update| update.stack == id && !update.dry);
        let mut told: Vec<_> = mine.filter(|update| update.version > 0).collect();
        told.sort_by_key(|update| update.version);
        let tell = |update: &&data::Update| {
            (update.kind.clone(), update.status.as_str().to_owned(), update.events.len())
        };
        told.iter().map(tell).collect()
    }

    /// True when anything that the service keeps has this text.
    pub fn mentions(&self, text: &str) -> bool {
        self.shared.data().everything().contains(text)
    }
}

fn routes(shared: &Arc<Shared>) -> Router {
    let stack = Router::new()
        .route("/", get(stacks::get).delete(stacks::delete))
        .route("/tags", patch(stacks::tags))
        .route("/rename", post(stacks::rename))
        .route("/export", get(stacks::export))
        .route("/export/{version}", get(stacks::export_version))
        .route("/import", post(stacks::import))
        .route("/encrypt", post(stacks::encrypt))
        .route("/decrypt", post(stacks::decrypt))
        .route("/batch-encrypt", post(stacks::encrypt_all))
        .route("/batch-decrypt", post(stacks::decrypt_all))
        .route("/decrypt/log-decryption", post(stacks::noted))
        .route("/decrypt/log-batch-decryption", post(stacks::noted))
        .route("/updates", get(updates::history))
        .route("/updates/latest", get(updates::latest))
        .route("/{kind}", post(updates::create))
        .route("/update/{update}", post(updates::start).get(updates::results))
        .route("/update/{update}/renew_lease", post(updates::renew))
        .route("/update/{update}/checkpoint", patch(updates::checkpoint))
        .route("/update/{update}/checkpointverbatim", patch(updates::verbatim))
        .route("/update/{update}/checkpointdelta", patch(updates::delta))
        .route("/update/{update}/journalentries", patch(updates::entries))
        .route("/update/{update}/events/batch", post(updates::events))
        .route("/update/{update}/complete", post(updates::complete))
        .route("/update/{update}/cancel", post(updates::cancel));
    Router::new()
        .route("/api/capabilities", get(users::capabilities))
        .route("/api/user", get(users::whoami))
        .route("/api/user/organizations/default", get(users::default_organization))
        .route("/api/user/stacks", get(stacks::list))
        .route("/api/stacks/{organization}", get(unknown))
        .route("/api/stacks/{organization}/{project}", post(stacks::create).head(stacks::is_project))
        .nest("/api/stacks/{organization}/{project}/{stack}", stack)
        .fallback(unknown)
        .layer(middleware::from_fn_with_state(Arc::clone(shared), note))
        .with_state(Arc::clone(shared))
}

async fn unknown() -> Answer {
    Err(Refusal::not_found("There is no such thing"))
}

async fn note(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let response = next.run(request).await;
    shared.log.lock().unwrap().push(format!("{asked} {}", response.status().as_u16()));
    response
}
