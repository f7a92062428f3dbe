//! The cloud: what a vendor's API offers, in memory. Clones of a [`Cloud`] are the same cloud.
//!
//! It behaves as vendors do: names are unique, changes say which version they were made for, and a request
//! may be lost on its way. It knows labels, and nothing of runtimes or installations.

mod api;
mod commands;
mod faults;
mod images;
mod instance;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use provider_api::Snapshot;

pub(crate) use self::api::Session;
use self::faults::Fault;
use self::instance::Instance;

/// Text to text, on every object.
pub(crate) type Labels = BTreeMap<String, String>;
/// The home's files by their path.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A cloud in memory.
#[derive(Clone, Default)]
pub struct Cloud(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// What callers must show; an open cloud wants nothing.
    token: Option<String>,
    objects: Mutex<Objects>,
    fault: tokio::sync::watch::Sender<Fault>,
}

#[derive(Default)]
pub(crate) struct Objects {
    pub volumes: BTreeMap<String, Volume>,
    pub machines: BTreeMap<String, Machine>,
    last_version: u64,
}

/// A disk. The home is on it, and so are its snapshots.
#[derive(Clone, Default)]
pub(crate) struct Volume {
    pub version: u64,
    pub region: String,
    pub labels: Labels,
    pub files: Files,
    /// The newest first.
    pub snapshots: VecDeque<Snapshot>,
}

/// What a machine is made from.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    pub region: String,
    pub image: String,
    pub volume: String,
    pub size: String,
    pub git_url: Option<String>,
    pub git_ref: Option<String>,
}

/// A machine as the API shows it.
#[derive(Clone)]
pub(crate) struct Machine {
    pub version: u64,
    pub spec: Spec,
    pub labels: Labels,
    pub phase: Phase,
    /// While it runs or is suspended.
    pub address: Option<SocketAddr>,
    pub log: Vec<u8>,
    instance: Option<Arc<Instance>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Stopped,
    Running,
    Suspended,
}

/// What the API answers instead of a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CloudError {
    #[error("no connection to the cloud")]
    Unreachable,
    #[error("the cloud did not answer in time, so the result is not known")]
    NoAnswer,
    #[error("the cloud does not know the token")]
    BadToken,
    #[error("there is no {0}")]
    NotFound(String),
    /// The name is taken, or the object is not of the version that the change was made for.
    #[error("{0} is in conflict with this request")]
    Conflict(String),
    #[error("the cloud refuses: {0}")]
    Refused(String),
}

impl Cloud {
    /// A cloud that lets nobody in without this token.
    pub fn guarded(token: impl Into<String>) -> Self {
        Self(Arc::new(Inner { token: Some(token.into()), ..Inner::default() }))
    }

    pub(crate) fn session(self, token: Option<&str>) -> Session {
        Session::new(self, token)
    }

    /// Everything at this moment.
    pub(crate) fn objects(&self) -> MutexGuard<'_, Objects> {
        self.0.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Volume {
    pub fn new(region: &str, labels: Labels) -> Self {
        Self { region: region.to_owned(), labels, ..Self::default() }
    }
}

impl Spec {
    /// Whether a machine of this spec can be kept for another: size and image change in place.
    pub fn fits(&self, other: &Spec) -> bool {
        Spec { size: other.size.clone(), image: other.image.clone(), ..self.clone() } == *other
    }
}

impl Machine {
    fn say(&mut self, line: &str) {
        self.log.extend_from_slice(format!("{line}\n").as_bytes());
    }

    /// Keeps a text in the memory of what runs on it.
    #[cfg(feature = "conformance")]
    pub fn remember(&self, text: &str) {
        if let Some(instance) = &self.instance {
            text.clone_into(&mut instance.memory.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    #[cfg(feature = "conformance")]
    pub fn remembered(&self) -> Option<String> {
        let memory = self.instance.as_ref()?.memory.lock().unwrap_or_else(PoisonError::into_inner);
        Some(memory.clone())
    }
}

impl Objects {
    fn next_version(&mut self) -> u64 {
        self.last_version += 1;
        self.last_version
    }
}
