//! The cloud: what a vendor's API offers, in memory. Clones of a [`Cloud`] are the same cloud. It is in the program that uses
//! it, or another program serves it ([`Cloud::serve`]) and outlives all that use it.
//!
//! It behaves as vendors do: names are unique, changes say which version they were made for, and a request
//! may be lost on its way. It knows labels, and nothing of runtimes or installations.

mod acts;
mod api;
mod call;
mod commands;
mod disks;
mod error;
mod faults;
mod images;
mod instance;
mod remote;
mod service;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contracts::egress::EgressAllow;
use contracts::egress::report::Refused;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

pub(crate) use self::api::{Reply, Session};
pub(crate) use self::call::From;
use self::call::Taken;
pub(crate) use self::error::CloudError;
use self::faults::Fault;
use self::instance::Instance;
pub use self::service::{Object, Written};

/// Text to text, on every object.
pub(crate) type Labels = BTreeMap<String, String>;
/// The home's files by their path.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// What a call of the API gives.
pub(crate) type Answer<T> = Result<T, CloudError>;

/// The header of an answer by which the cloud's operators find the request again.
pub(crate) const REQUEST_ID: &str = "x-request-id";
/// Where a refusal has its words.
pub(crate) const WORDS: &str = "/error";
/// No healthy call takes longer. Short, because this cloud is in memory.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);

/// A cloud in memory.
#[derive(Clone, Default)]
pub struct Cloud(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// What callers must show; an open cloud wants nothing.
    token: Option<String>,
    objects: Mutex<Objects>,
    /// Where somebody wants to know later what was written.
    journal: Option<Mutex<Vec<Written>>>,
    fault: tokio::sync::watch::Sender<Fault>,
    /// Labels of machines to which something has happened.
    changes: Changes,
}

/// Whoever listens too slowly misses some.
struct Changes(broadcast::Sender<Labels>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::Sender::new(256))
    }
}

#[derive(Default)]
pub(crate) struct Objects {
    /// Nothing keeps one from being deleted while machines are in it: who deletes it has to know.
    pub networks: BTreeMap<String, Labels>,
    pub volumes: BTreeMap<String, Volume>,
    pub machines: BTreeMap<String, Machine>,
    pub images: images::Pushed,
    /// No machine that does not run has room to.
    is_full: bool,
    has_no_disks: bool,
    last_version: u64,
}

/// A disk. The home is on it, and so are its snapshots.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Volume {
    pub version: u64,
    pub region: String,
    pub labels: Labels,
    /// Asked for by themselves.
    #[serde(skip)]
    pub files: Files,
    /// The newest first.
    #[serde(skip)]
    pub snapshots: VecDeque<Taken>,
}

/// What a machine is made from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub region: String,
    pub image: String,
    pub volume: String,
    pub size: String,
    pub git_url: Option<String>,
    pub git_ref: Option<String>,
    /// It is kept; who plays an instance here reaches nothing outside.
    #[serde(default)]
    pub egress_allow: Option<EgressAllow>,
    /// Has to be there when the machine is made and when it starts.
    pub network: Option<String>,
}

/// A machine as the API shows it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub version: u64,
    pub spec: Spec,
    pub labels: Labels,
    pub phase: Phase,
    /// With which its program has ended by itself.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// While it runs or is suspended.
    pub address: Option<SocketAddr>,
    #[serde(skip)]
    pub log: Vec<u8>,
    /// What was refused to who runs on it, the last first.
    #[serde(skip)]
    pub refused: Vec<Refused>,
    #[serde(skip)]
    instance: Option<Arc<Instance>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    Stopped,
    /// It is to run as soon as there is room.
    Pending,
    Running,
    Suspended,
}

impl Cloud {
    /// A cloud that lets nobody in without this token.
    pub fn guarded(token: impl Into<String>) -> Self {
        Self(Arc::new(Inner { token: Some(token.into()), ..Inner::default() }))
    }

    /// A cloud that keeps a journal of all writes.
    pub fn with_journal() -> Self {
        Self(Arc::new(Inner { journal: Some(Mutex::default()), ..Inner::default() }))
    }

    /// What happens to machines from now on.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Labels> {
        self.0.changes.0.subscribe()
    }

    /// Something has happened to a machine; nobody may listen.
    fn tell(&self, labels: Labels) {
        let _ = self.0.changes.0.send(labels);
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
    /// Whether a machine of this spec can be kept for another: where it is, its home and its network do not change in place.
    pub fn fits(&self, other: &Spec) -> bool {
        let place = |spec: &Spec| (spec.region.clone(), spec.volume.clone(), spec.network.clone());
        place(self) == place(other)
    }
}

impl Machine {
    /// Its program ends by itself.
    #[cfg(feature = "conformance")]
    pub fn fail(&mut self, exit_code: i32) {
        (self.phase, self.address, self.instance) = (Phase::Stopped, None, None);
        self.exit_code = Some(exit_code);
    }

    fn runs(&mut self, name: &str) {
        (self.phase, self.exit_code) = (Phase::Running, None);
        self.say(&format!("{name} runs {} in {}", self.spec.image, self.spec.region));
    }

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
