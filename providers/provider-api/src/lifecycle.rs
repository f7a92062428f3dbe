//! Run-state: what is done with a runtime after its resources exist, without Pulumi.

use std::time::Duration;

use async_trait::async_trait;
use contracts::workspace::Endpoint;
use contracts::{InstallationId, RuntimeId};

use crate::error::Result;

/// Which runtime, of which installation. Objects of another installation are never touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeRef {
    pub runtime_id: RuntimeId,
    pub installation: InstallationId,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunStatus {
    Running,
    /// It exists and does not run; the exit code when the provider knows it.
    Stopped { exit_code: Option<i32> },
    /// Surely gone. A host that does not answer is an error, never this.
    Absent,
}

/// Every method is idempotent and safe to repeat. A cancelled call may still take effect; `status`
/// tells. An error with an unknown outcome means exactly that.
#[async_trait]
pub trait Lifecycle: Send + Sync {
    /// Boot files are delivered anew. Starting what runs is a success.
    async fn start(&self, runtime: &RuntimeRef) -> Result<()>;

    /// Asks politely, then ends it when `grace` has passed. Stopping what does not run is a success.
    /// User data stays.
    async fn stop(&self, runtime: &RuntimeRef, grace: Duration) -> Result<()>;

    async fn status(&self, runtime: &RuntimeRef) -> Result<RunStatus>;

    /// Where the instance's backend is reached. Stable while the instance runs.
    async fn endpoint(&self, runtime: &RuntimeRef) -> Result<Endpoint>;
}

#[async_trait]
pub trait Logs: Send + Sync {
    /// The end of the instance's log, at most `max_bytes`, cut at a line. Empty when there is none.
    async fn tail(&self, runtime: &RuntimeRef, max_bytes: usize) -> Result<String>;
}

/// An external object that carries an installation's labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnedObject {
    pub runtime_id: RuntimeId,
    /// For example `container`, `volume`, `process`.
    pub kind: String,
    pub id: String,
}

#[async_trait]
pub trait Inventory: Send + Sync {
    /// Everything outside that is this installation's, found by labels and not by memory: the witness
    /// that a delete left nothing.
    async fn list_owned(&self, installation: &InstallationId) -> Result<Vec<OwnedObject>>;
}
