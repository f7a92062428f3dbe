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
    Stopped {
        exit_code: Option<i32>,
    },
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

/// The end of a log for [`Logs::tail`]: at most `max_bytes`, beginning with a whole line when there is
/// one. Give it a byte more than that, and it sees whether the cut is already between two lines.
pub fn last_lines(log: &[u8], max_bytes: usize) -> String {
    let cut = log.len().saturating_sub(max_bytes);
    let tail = &log[cut..];
    let in_a_line = cut > 0 && log[cut - 1] != b'\n';
    let start = match tail.iter().position(|&byte| byte == b'\n') {
        Some(end) if in_a_line && end + 1 < tail.len() => end + 1,
        _ => 0,
    };
    String::from_utf8_lossy(&tail[start..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn the_tail_begins_with_a_whole_line_unless_one_line_is_all_there_is() {
        for (log, max, expected) in [
            ("one\ntwo\n", 100, "one\ntwo\n"),
            ("one\ntwo\n", 5, "two\n"),
            ("one\ntwo\n", 4, "two\n"),
            ("one\ntwo\n", 3, "wo\n"),
            ("one\ntwo\n", 0, ""),
            ("", 10, ""),
        ] {
            assert_eq!(last_lines(log.as_bytes(), max), expected, "{log:?} cut to {max}");
        }
    }
}
