//! What a started machine becomes: a process tree, a container, or only a record.

pub mod docker;
mod environment;
pub mod process;
mod procfs;
pub mod records;
mod signals;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use signals::parse as signal_number;

use crate::config::Config;

/// Everything that one start needs. Paths are the guest's, folders the host's.
#[derive(Debug, Clone)]
pub struct Launch {
    pub machine: String,
    pub incarnation: u64,
    pub config: Config,
    /// What the platform sets, the secrets, and the configuration's own environment.
    pub env: BTreeMap<String, String>,
    pub files: Vec<GuestFile>,
    /// Folder of the volume and where the guest sees it.
    pub mount: Option<(PathBuf, String)>,
    /// Ports that services name.
    pub ports: Vec<u16>,
}

#[derive(Debug, Clone)]
pub struct GuestFile {
    pub path: String,
    pub content: Vec<u8>,
    pub mode: u32,
}

impl GuestFile {
    /// Whether it is in this folder of the guest, or in one of that.
    pub fn is_below(&self, folder: &str) -> bool {
        Path::new(&self.path).strip_prefix(folder).is_ok_and(|rest| !rest.as_os_str().is_empty())
    }
}

/// How a started machine is found again, also after a restart of the simulator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The first process, for the process runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// From a guest's port to the port of this host that reaches it.
    #[serde(with = "pairs")]
    pub ports: BTreeMap<u16, u16>,
}

/// Numbers as keys would be text in JSON, which the journal's reader takes for text.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(ports: &BTreeMap<u16, u16>, to: S) -> Result<S::Ok, S::Error> {
        ports.iter().collect::<Vec<_>>().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<u16, u16>, D::Error> {
        Ok(Vec::<(u16, u16)>::deserialize(from)?.into_iter().collect())
    }
}

/// A machine's program ended by itself.
#[derive(Debug, Clone)]
pub struct Exit {
    pub machine: String,
    pub incarnation: u64,
    pub code: Option<i32>,
}

/// The outcome of a command inside a machine.
#[derive(Debug, Clone, Default)]
pub struct Executed {
    pub exit_code: i32,
    pub exit_signal: i32,
    pub stdout: String,
    pub stderr: String,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot start {what}")]
    Start { what: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("{what} failed")]
    Act { what: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("a machine without a program cannot do that")]
    NoProgram,
    #[error("the command did not end in time")]
    Late,
}

/// Every method may be called for a machine that has ended already.
#[async_trait]
pub trait Runner: Send + Sync {
    /// Starts the program with a new root file system.
    async fn start(&self, launch: &Launch) -> Result<Running, RunError>;

    /// Signals the program, ends everything after `grace`, and returns when nothing is left.
    async fn stop(
        &self,
        machine: &str,
        running: &Running,
        signal: i32,
        grace: Duration,
    ) -> Result<(), RunError>;

    async fn signal(&self, machine: &str, running: &Running, signal: i32) -> Result<(), RunError>;

    /// Freezes the whole machine; its memory stays as it is.
    async fn suspend(&self, machine: &str, running: &Running) -> Result<(), RunError>;

    async fn resume(&self, machine: &str, running: &Running) -> Result<(), RunError>;

    async fn exec(
        &self,
        launch: &Launch,
        running: &Running,
        command: &[String],
        stdin: &str,
        limit: Duration,
    ) -> Result<Executed, RunError>;

    /// After a restart of the simulator: watches the machine again. False when it does not run.
    async fn adopt(&self, machine: &str, incarnation: u64, running: &Running) -> bool;

    /// Removes what the machine left, but its volume.
    async fn forget(&self, machine: &str);
}
