//! The machines on which containers run, as `workerd` drives them: a part of Docker's own API on a unix
//! socket, in front of the local Docker engine.
//!
//! What Cloudflare does and a bare engine does not is done here: an application decides the image, the
//! size and how many run at once, a container that ended is gone with its disk, and `destroy` kills.

mod chosen;
mod engine;
mod platform;
mod routes;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::cloud::is_past;
use crate::journal::Journal;
use crate::objects::{Application, Instance, Snapshot};
use crate::options::Options;
use crate::registry::AccountRegistry;
use chosen::{Chosen, DEFAULT_POLICY, Start};
use engine::Engine;

/// `monitor()` asks before the container is created, because `start()` does not wait.
const APPEARS: Duration = Duration::from_secs(5);

/// A start that was asked for before has been taken up by then.
const UNDER_WAY: Duration = Duration::from_millis(300);

const FULL: &str = "Maximum number of running container instances exceeded. Try again later, or try configuring a \
                    higher value for max_instances";
const NO_APPLICATION: &str =
    "There is no Container instance that can be provided to this Durable Object, try again later";

pub struct Machines {
    engine: Engine,
    options: Options,
    journal: Arc<Journal>,
    registry: Arc<AccountRegistry>,
    socket: PathBuf,
    /// By the name that workerd gives: `workerd-NAMESPACE-OBJECT`.
    live: Mutex<HashMap<String, Live>>,
    appeared: watch::Sender<u64>,
    /// Why the last start of a name was refused: `monitor()` tells it, as `start()` does not wait.
    refused: Mutex<HashMap<String, String>>,
    /// Starts that were refused. `workerd` repeats them by itself, and at Cloudflare each is over.
    over: Mutex<HashSet<String>>,
    /// How the last container of a name ended, until the next one is created.
    ended: Mutex<HashMap<String, i64>>,
    /// One create after the other, so that no two take the last place.
    creating: tokio::sync::Mutex<()>,
    _servers: Mutex<Vec<AbortOnDropHandle<()>>>,
    /// Where `platform.js` asks.
    platform: String,
    failing_snapshots: AtomicBool,
    // Short, because the path of a socket may have 107 bytes only.
    _folder: tempfile::TempDir,
}

#[derive(Clone)]
struct Live {
    container: String,
    application: String,
    /// What it was started from, or what its snapshot was taken of.
    image: String,
    running: bool,
    /// The exit code, once it ended.
    exit: watch::Receiver<Option<i64>>,
}

impl Machines {
    pub async fn start(
        options: &Options,
        journal: Arc<Journal>,
        registry: Arc<AccountRegistry>,
    ) -> anyhow::Result<Arc<Self>> {
        let engine = Engine::connect(options)?;
        // Left by a simulator that was killed: its machines are gone, so are their containers.
        engine.remove_all().await;
        for instance in journal.all::<Instance>() {
            journal.remove::<Instance>(&instance.id)?;
        }
        let folder = tempfile::Builder::new().prefix("sim-cf-").tempdir()?;
        let socket = folder.path().join("machines.sock");
        let listener = UnixListener::bind(&socket).with_context(|| socket.display().to_string())?;
        let port = TcpListener::bind("127.0.0.1:0").await?;
        let machines = Arc::new(Self {
            platform: format!("http://{}", port.local_addr()?),
            failing_snapshots: AtomicBool::new(false),
            engine,
            options: options.clone(),
            journal,
            registry,
            socket,
            live: Mutex::default(),
            appeared: watch::Sender::new(0),
            refused: Mutex::default(),
            over: Mutex::default(),
            ended: Mutex::default(),
            creating: tokio::sync::Mutex::default(),
            _servers: Mutex::default(),
            _folder: folder,
        });
        let routes = routes::routes(machines.clone());
        let server = tokio::spawn(async move { drop(axum::serve(listener, routes).await) });
        let routes = platform::routes(machines.clone());
        let platform = tokio::spawn(async move { drop(axum::serve(port, routes).await) });
        *machines._servers.lock().unwrap_or_else(PoisonError::into_inner) =
            [server, platform].map(AbortOnDropHandle::new).into();
        Ok(machines)
    }

    pub fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    /// Where Workers ask for what their `workerd` has not.
    pub fn platform(&self) -> String {
        self.platform.clone()
    }

    /// Whether snapshots fail from now on.
    pub fn fail_snapshots(&self, fail: bool) {
        self.failing_snapshots.store(fail, Ordering::Relaxed);
    }

    fn snapshots_fail(&self) -> bool {
        self.failing_snapshots.load(Ordering::Relaxed)
    }

    /// Ends the time of all snapshots.
    pub async fn expire(&self) {
        for snapshot in self.journal.all::<Snapshot>() {
            let _ = self.journal.remove::<Snapshot>(&snapshot.id);
            self.engine.remove_snapshot(&snapshot.id).await;
        }
    }

    /// What the local Docker engine calls an image of the account.
    fn local(&self, image: &str) -> String {
        if self.registry.is_of(image) { image.to_owned() } else { self.options.local_image(image) }
    }

    /// Whether containers can be made from it. What was pushed to the account's registry is pulled from there.
    pub async fn bring(&self, image: &str) -> bool {
        let local = self.local(image);
        if !self.registry.is_of(image) {
            return self.engine.image_id(&local).await.is_some();
        }
        self.registry.has(image) && self.engine.pull(image, self.registry.login()).await
    }

    /// What runs for an object; what is being started is waited for.
    async fn of_object(&self, object: &str) -> Option<(Application, Live)> {
        let mut appeared = self.appeared.subscribe();
        let there = async {
            loop {
                let named = self.named();
                let found = named.into_iter().find(|(name, live)| live.running && name.ends_with(object));
                if let Some((_, live)) = found {
                    return Some((self.journal.get(&live.application)?, live));
                }
                appeared.changed().await.ok()?;
            }
        };
        tokio::time::timeout(APPEARS, there).await.ok().flatten()
    }

    /// Asks the instances of an application to end, as a rollout does; their objects start new ones.
    pub async fn renew(&self, application: &str) {
        for live in self.all().into_iter().filter(|live| live.application == application && live.running) {
            let _ = self.engine.kill(&live.container, "SIGTERM").await;
        }
    }

    /// Removes what runs for an application, because its objects are deleted.
    pub async fn clear(&self, application: &str) {
        for (name, _) in self.named().into_iter().filter(|(_, live)| live.application == application) {
            self.forget(&name).await;
        }
    }

    /// Kills the container of one object, as a machine that fails does.
    pub async fn fail(&self, object: &str) {
        for (_, live) in self.named().into_iter().filter(|(name, _)| name.ends_with(object)) {
            let _ = self.engine.kill(&live.container, "SIGKILL").await;
        }
    }

    /// Snapshots are files of the account and stay, but for the images that hold them: nobody else removes those.
    pub async fn end(&self) {
        self.engine.remove_all().await;
        self.expire().await;
        self._servers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn named(&self) -> Vec<(String, Live)> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.iter().map(|(name, live)| (name.clone(), live.clone())).collect()
    }

    fn all(&self) -> Vec<Live> {
        self.named().into_iter().map(|(_, live)| live).collect()
    }

    fn find(&self, name: &str) -> Option<Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The application of a name, and the object's id.
    fn application(&self, name: &str) -> Option<(Application, String)> {
        let (namespace, object) = name.strip_prefix("workerd-")?.rsplit_once('-')?;
        let all = self.journal.all::<Application>();
        let found = all.into_iter().find(|application| application.durable_objects.namespace_id == namespace);
        found.map(|application| (application, object.to_owned()))
    }

    async fn create(
        &self,
        name: &str,
        mut env: Vec<String>,
        command: Option<Vec<String>>,
    ) -> Result<(), Refused> {
        let start = Start::take(&mut env);
        let id = start.id.clone();
        if self.over().contains(&id) {
            return Err(Refused::Failed("the start was refused before".to_owned()));
        }
        self.refusals().remove(name);
        self.endings().remove(name);
        let made = self.try_create(name, start, env, command).await;
        if made.is_err() && !id.is_empty() {
            self.over().insert(id);
        }
        self.remember(name, made)
    }

    fn over(&self) -> MutexGuard<'_, HashSet<String>> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the words of a refusal for whoever monitors. That there is a container already is none.
    fn remember(&self, name: &str, outcome: Result<(), Refused>) -> Result<(), Refused> {
        if let Err(refused) = &outcome
            && !matches!(refused, Refused::Conflict)
        {
            self.refusals().insert(name.to_owned(), refused.to_string());
            self.appeared.send_modify(|count| *count += 1);
        }
        outcome
    }

    fn refusals(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn endings(&self) -> MutexGuard<'_, HashMap<String, i64>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn try_create(
        &self,
        name: &str,
        start: Start,
        env: Vec<String>,
        command: Option<Vec<String>>,
    ) -> Result<(), Refused> {
        let _create = self.creating.lock().await;
        if self.find(name).is_some() {
            return Err(Refused::Conflict);
        }
        let Some((application, _)) = self.application(name) else {
            return Err(Refused::Failed(NO_APPLICATION.to_owned()));
        };
        if !is_past(application.created_at, self.options.provisioning_ms, jiff::Timestamp::now()) {
            return Err(Refused::Failed(NO_APPLICATION.to_owned()));
        }
        let busy = self.all().iter().filter(|live| live.application == application.id).count() as u64;
        if application.max_instances.is_some_and(|most| busy >= most) {
            return Err(Refused::Failed(FULL.to_owned()));
        }
        let chosen = self.choose(&application, start).await?;
        let container = self.engine.create(&chosen, env, command).await?;
        let (_, exit) = watch::channel(None);
        let (application, image) = (application.id, chosen.image);
        let live = Live { container, application, image, running: false, exit };
        self.live.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), live);
        Ok(())
    }

    async fn run(self: &Arc<Self>, name: &str) -> Result<(), Refused> {
        let live = self.find(name).ok_or(Refused::Absent)?;
        if let Err(refused) = self.engine.start(&live.container).await {
            self.forget(name).await;
            return self.remember(name, Err(refused));
        }
        let (ended, exit) = watch::channel(None);
        let Some((application, id)) = self.application(name) else { return Err(Refused::Absent) };
        let instance = Instance {
            id,
            application_id: application.id,
            container: live.container.clone(),
            image: live.image.clone(),
            assigned_at: jiff::Timestamp::now(),
        };
        self.journal.put(&instance).map_err(|error| Refused::Failed(error.to_string()))?;
        let running = Live { running: true, exit, ..live.clone() };
        self.live.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), running);
        self.appeared.send_modify(|count| *count += 1);
        let (machines, name) = (self.clone(), name.to_owned());
        tokio::spawn(async move {
            let code = machines.engine.wait(&live.container).await;
            machines.endings().insert(name.clone(), code);
            machines.forget(&name).await;
            ended.send_replace(Some(code));
        });
        Ok(())
    }

    /// The exit code of what runs under this name, once it ends; or why it could not run.
    async fn end_of(&self, name: &str) -> Result<i64, Refused> {
        let mut appeared = self.appeared.subscribe();
        if self.endings().contains_key(name) {
            // Unless a start is just under way, it is about what has ended.
            tokio::time::sleep(UNDER_WAY).await;
            if let Some(code) = self.endings().get(name) {
                return Ok(*code);
            }
        }
        let there = async {
            loop {
                if let Some(live) = self.find(name).filter(|live| live.running) {
                    return Ok(live);
                }
                // Told once: they are about no later start.
                if let Some(words) = self.refusals().remove(name) {
                    return Err(Refused::Failed(words));
                }
                appeared.changed().await.map_err(|_| Refused::Absent)?;
            }
        };
        let mut live = tokio::time::timeout(APPEARS, there).await.map_err(|_| Refused::Absent)??;
        let ended = live.exit.wait_for(Option::is_some).await;
        ended.ok().and_then(|code| *code).ok_or(Refused::Absent)
    }

    /// Removes the container with its disk, and all memory of it.
    async fn forget(&self, name: &str) {
        let Some(live) = self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(name) else {
            return;
        };
        self.engine.remove(&live.container).await;
        if let Some((_, object)) = name.rsplit_once('-') {
            let _ = self.journal.remove::<Instance>(object);
        }
    }
}

/// Why the machines refuse; workerd reads the status.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("No such container")]
    Absent,
    #[error("the container exists")]
    Conflict,
    #[error("No such image: {0}")]
    NoImage(String),
    #[error("{0}")]
    Failed(String),
}
