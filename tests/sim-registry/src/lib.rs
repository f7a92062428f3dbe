//! An OCI registry in memory: what `docker push`, `docker pull` and Pilot's own client need of one.
//!
//! It is as strict as real ones are: content is what its digest says, a manifest names blobs that are there, chunks follow one
//! another, and who may not is refused with a challenge. Real clients prove that it is one (`tests/engine_docker.rs`).
//! It serves HTTP on loopback, keeps a journal of what was asked, and fails on order.

mod auth;
mod error;
mod fault;
mod manifest;
mod path;
mod routes;
mod store;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

pub use auth::{Scheme, User};
pub use fault::Fault;
pub use store::{Form, digest};

use auth::Guard;
use store::Store;

/// Who may do what.
#[derive(Debug, Clone)]
pub struct Options {
    pub scheme: Scheme,
    pub users: Vec<User>,
    /// Beginnings of repository names that anybody may pull.
    pub public: Vec<String>,
}

impl Options {
    /// Anybody may pull and push.
    pub fn open() -> Self {
        Self { scheme: Scheme::Open, users: Vec::new(), public: vec![String::new()] }
    }

    /// One user, who may do everything; nobody else may do anything.
    pub fn private(scheme: Scheme, name: &str, password: &str) -> Self {
        Self { scheme, users: vec![User::everywhere(name, password)], public: Vec::new() }
    }
}

/// One that serves, until it is dropped.
pub struct Registry {
    core: Arc<Core>,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

pub(crate) struct Core {
    pub guard: Guard,
    store: Mutex<Store>,
    faults: Mutex<Vec<Fault>>,
    journal: Mutex<Vec<String>>,
}

impl Core {
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn faults(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn journal(&self) -> MutexGuard<'_, Vec<String>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Serves on a free port of loopback.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(options: Options) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let core = Arc::new(Core {
            guard: Guard::new(options, &format!("http://{address}")),
            store: Mutex::default(),
            faults: Mutex::default(),
            journal: Mutex::default(),
        });
        let router = routes::router(core.clone());
        let serving = tokio::spawn(async move {
            // It ends with the task alone.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { core, address, serving })
    }

    /// `127.0.0.1:PORT`, as a reference to an image begins.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Lets one more user in.
    pub fn admit(&self, user: User) {
        self.core.guard.admit(user);
    }

    /// Breaks one request that is yet to come.
    pub fn order(&self, fault: Fault) {
        self.core.faults().push(fault);
    }

    /// Forgets what was ordered and has not happened.
    pub fn heal(&self) {
        self.core.faults().clear();
    }

    /// Method and path of each request, in order.
    pub fn journal(&self) -> Vec<String> {
        self.core.journal().clone()
    }

    /// The digest that a tag or a digest means in a repository.
    pub fn resolve(&self, repository: &str, reference: &str) -> Option<String> {
        self.core.store().manifest(repository, reference).map(|found| found.digest.clone())
    }

    /// Puts a small image for `architecture` into a repository under a tag, and gives its manifest's digest. Its one layer is
    /// an empty archive.
    pub fn seed(&self, repository: &str, tag: &str, architecture: &str) -> String {
        self.seed_as(Form::Docker, repository, tag, architecture)
    }

    /// The same in another form, and for `windows/amd64` as well.
    pub fn seed_as(&self, form: Form, repository: &str, tag: &str, architecture: &str) -> String {
        self.core.store().seed(repository, tag, architecture, form)
    }

    /// Puts an index under a tag that names images which were seeded.
    pub fn seed_index(&self, repository: &str, tag: &str, of: &[(&str, &str)]) -> String {
        self.core.store().seed_index(repository, tag, of)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
