//! Run-state: what is done with a runtime after its resources exist, without Pulumi.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use contracts::workspace::{Endpoint, Image};
use contracts::{ErrorCode, InstallationId, RuntimeId};
use futures_util::stream::{self, BoxStream, StreamExt as _};

use crate::captured::Captured;
use crate::error::{ProviderError, Result};

/// Which runtime, of which installation, and who speaks for it. Objects of another installation are never
/// touched. Not compared by `==`: whether two are the same runtime is told by [`RuntimeRef::is`].
#[derive(Debug, Clone)]
pub struct RuntimeRef {
    /// Which runtime.
    pub runtime_id: RuntimeId,
    /// Whose.
    pub installation: InstallationId,
    /// Of the operation that this call is a part of, see [`crate::fence`]. `None` for who speaks for no
    /// operation, as a read and a person do: never refused for it.
    pub fence: Option<u64>,
}

impl RuntimeRef {
    /// For who speaks for no operation.
    pub fn new(runtime_id: RuntimeId, installation: InstallationId) -> Self {
        Self { runtime_id, installation, fence: None }
    }

    /// The same runtime, for an operation with this fence.
    pub fn under(self, fence: Option<u64>) -> Self {
        Self { fence, ..self }
    }

    /// Whether both are the same runtime of the same installation, whoever speaks for it.
    pub fn is(&self, other: &RuntimeRef) -> bool {
        (&self.runtime_id, &self.installation) == (&other.runtime_id, &other.installation)
    }
}

/// What was seen of a runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunStatus {
    /// Its own program runs; whether that answers is for others to see.
    Running,
    /// It is to run and cannot yet, as while an image is pulled or no machine has room. It needs nothing but time: who waits
    /// for it goes on waiting.
    Pending {
        /// What it waits for, in a few words, for its user.
        reason: String,
    },
    /// It exists and does not run; the exit code when the provider knows it.
    Stopped {
        /// Of the instance's own program.
        exit_code: Option<i32>,
    },
    /// Memory is kept; `resume` goes on where it was.
    Suspended,
    /// Surely gone. A host that does not answer is an error, never this.
    Absent,
}

impl RunStatus {
    /// It runs, or will without another start: what wants it down has to stop it.
    pub fn is_up(&self) -> bool {
        matches!(self, RunStatus::Running | RunStatus::Pending { .. })
    }
}

/// Every method is idempotent and safe to repeat. A canceled call may still take effect; `status`
/// tells. An error with an unknown outcome means exactly that.
///
/// `start`, `stop`, `suspend`, `hibernate` and `resume` are writes: each is refused with `fenced`, and changes nothing, when
/// a write with a higher fence was finished before it arrived, and each makes a higher fence known, also when
/// there is nothing else to do. [`crate::fence`] has the whole promise. `status` and `endpoint` are for everybody.
#[async_trait]
pub trait Lifecycle: Send + Sync {
    /// Boot files are delivered anew. Starting what runs is a success, and so is starting what is
    /// suspended: it goes on where it was when it can, and boots when it cannot. A success says that it is accepted: what
    /// cannot run yet is [`RunStatus::Pending`].
    async fn start(&self, runtime: &RuntimeRef) -> Result<()>;

    /// Asks politely, then ends it when `grace` has passed. Stopping what does not run is a success.
    /// User data stays.
    async fn stop(&self, runtime: &RuntimeRef, grace: Duration) -> Result<()>;

    /// Keeps memory and gives its processors back. Suspending what is suspended is a success; what is
    /// stopped or gone cannot be suspended. For providers whose capabilities say `suspend`.
    async fn suspend(&self, runtime: &RuntimeRef) -> Result<()> {
        let message = format!("the provider of {} cannot suspend", runtime.runtime_id);
        Err(ProviderError::new(ErrorCode::CapabilityUnsupported, message).with_action("Stop it instead."))
    }

    /// Goes on with what is suspended. Resuming what runs is a success. A vendor may lose the memory of
    /// what is suspended; then this is a start.
    async fn resume(&self, runtime: &RuntimeRef) -> Result<()> {
        self.start(runtime).await
    }

    /// Keeps the home, and gives back memory, processors and whatever else costs while nobody uses it. `status` says
    /// [`RunStatus::Stopped`] then, and a start boots it. Hibernating what does not run is a success. For providers with a
    /// persistent home; worth an own way where a stop keeps more than the home.
    async fn hibernate(&self, runtime: &RuntimeRef, grace: Duration) -> Result<()> {
        self.stop(runtime, grace).await
    }

    /// Its home is about to be removed with everything else, because somebody has asked for that: what keeps files only when an
    /// instance ends need not keep these, and no instance stays because they cannot be kept. The home may be gone
    /// afterwards. Where it does anything it is a write.
    async fn home_goes(&self, _runtime: &RuntimeRef) -> Result<()> {
        Ok(())
    }

    /// What is true now.
    async fn status(&self, runtime: &RuntimeRef) -> Result<RunStatus>;

    /// The same for many of one installation, for who looks at all of them again and again. Each is told of once, in any order,
    /// as soon as something is known of it: what does not answer keeps nobody else waiting. Each answer is what `status`
    /// would give, so what a list does not have, or says in other words, is asked for by itself: [`status_each`].
    fn status_many(&self, installation: InstallationId, runtimes: Vec<RuntimeId>) -> Statuses<'_> {
        status_each(self, installation, runtimes)
    }

    /// Runtimes of an installation whose run-state may have changed, told as soon as it has, to who would otherwise look again
    /// and again. It is a hint: some are missed, some are told twice, and only [`Lifecycle::status`] says what is true.
    /// What is told begins when the stream is first asked. An error ends it: the vendor cannot be heard for now. `None` where
    /// the vendor tells nothing.
    fn watch(&self, _installation: InstallationId) -> Option<Changes<'_>> {
        None
    }

    /// Where the instance's backend is reached. Stable while the instance runs, and over a suspend.
    /// One that [`Endpoint::usable`] refuses is none: the gateway does not connect there.
    async fn endpoint(&self, runtime: &RuntimeRef) -> Result<Endpoint>;
}

/// Answers of [`Lifecycle::status_many`].
pub type Statuses<'a> = BoxStream<'a, (RuntimeId, Result<RunStatus>)>;

/// What [`Lifecycle::watch`] tells.
pub type Changes<'a> = BoxStream<'a, Result<RuntimeId>>;

/// So many are asked for side by side.
const AT_ONCE: usize = 32;

/// Asks for each by itself.
pub fn status_each<L: Lifecycle + ?Sized>(
    lifecycle: &L,
    installation: InstallationId,
    runtimes: Vec<RuntimeId>,
) -> Statuses<'_> {
    let ask = move |id: RuntimeId| {
        let runtime = RuntimeRef::new(id.clone(), installation.clone());
        async move { (id, lifecycle.status(&runtime).await) }
    };
    stream::iter(runtimes).map(ask).buffer_unordered(AT_ONCE).boxed()
}

/// Believes what one list says; what that does not have is asked for by itself. Where there is no list, its error is the
/// answer for all.
pub fn status_from_list<'a, L: Lifecycle + ?Sized>(
    lifecycle: &'a L,
    installation: InstallationId,
    mut runtimes: Vec<RuntimeId>,
    list: impl Future<Output = Result<HashMap<RuntimeId, RunStatus>>> + Send + 'a,
) -> Statuses<'a> {
    let told = async move {
        let mut listed = match list.await {
            Ok(listed) => listed,
            Err(error) => return stream::iter(runtimes).map(move |id| (id, Err(error.clone()))).boxed(),
        };
        let mut known = Vec::new();
        runtimes.retain(|id| listed.remove(id).map(|status| known.push((id.clone(), Ok(status)))).is_none());
        stream::iter(known).chain(status_each(lifecycle, installation, runtimes)).boxed()
    };
    stream::once(told).flatten().boxed()
}

/// What instances say.
#[async_trait]
pub trait Logs: Send + Sync {
    /// The end of the instance's log, at most `max_bytes`, cut at a line. Empty when there is none. It has what the
    /// instance said and nothing else: who follows a log finds what is new behind what was there before.
    async fn tail(&self, runtime: &RuntimeRef, max_bytes: usize) -> Result<String>;

    /// How an instance that does not run has ended, in a few words, where that explains the end of its log. `None` while
    /// it runs, and where the provider does not know.
    async fn ended(&self, _runtime: &RuntimeRef) -> Result<Option<String>> {
        Ok(None)
    }
}

/// What a command inside an instance left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// 127 when there is no such program, and 126 when it may not be run, as a shell has it.
    pub exit_code: i32,
    /// It was ended because its time was over.
    pub timed_out: bool,
    /// What it wrote.
    pub stdout: Captured,
    /// What it complained.
    pub stderr: Captured,
}

impl Executed {
    /// It ended by itself.
    pub fn new(exit_code: i32, stdout: impl Into<Captured>, stderr: impl Into<Captured>) -> Self {
        Self { exit_code, timed_out: false, stdout: stdout.into(), stderr: stderr.into() }
    }

    /// It was ended because its time was over.
    pub fn late(stdout: impl Into<Captured>, stderr: impl Into<Captured>) -> Self {
        Self { timed_out: true, ..Self::new(contracts::exec::TIMED_OUT, stdout, stderr) }
    }
}

/// Commands inside instances.
#[async_trait]
pub trait Exec: Send + Sync {
    /// Runs a program as the instance's user, without a terminal or input. It is not idempotent: after an unknown outcome
    /// it may or may not have run.
    ///
    /// What still runs after `limit` is ended, with its process group, and the answer is [`Executed::late`] with what it wrote
    /// until then. When this future is dropped, nobody waits any more, and the same is done, where the vendor can. An
    /// instance that ended meanwhile is `workspace_stopped` with an unknown outcome. What could not be begun, because the
    /// instance has no process or no memory left, is `instance_failed`; a program that is missing or may not be run is
    /// an answer with 127 or 126, as a shell has it.
    async fn exec(&self, runtime: &RuntimeRef, command: &[String], limit: Duration) -> Result<Executed>;
}

/// What instances are made from, where each runtime has an image of its own.
#[async_trait]
pub trait Images: Send + Sync {
    /// What a runtime is made from when nobody names an image. An error when the operator has not said.
    fn default_reference(&self) -> Result<String>;

    /// What `reference` means now, so that a runtime keeps it when the reference means something else later. `image_missing`
    /// when there is no such image. Where the provider cannot look, the reference stands for itself.
    async fn resolve(&self, reference: &str) -> Result<Image>;
}

/// An external object that carries an installation's labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnedObject {
    /// Whose it is.
    pub runtime_id: RuntimeId,
    /// For example `container`, `volume`, `process`.
    pub kind: String,
    /// The vendor's own id or name.
    pub id: String,
    /// What it is to the user's files.
    pub home: Home,
}

impl OwnedObject {
    /// The user's files are in it.
    pub fn is_home(&self) -> bool {
        self.home == Home::Is
    }

    /// It stays when a workspace is deleted and its home is kept.
    pub fn stays_with_home(&self) -> bool {
        self.home != Home::No
    }
}

/// What an object is to the user's files. That something of a home is left does not say that the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Home {
    /// Nothing: it goes when a workspace is deleted.
    No,
    /// The files are not in it, and it stays as long as they do: they cannot be without it, or it says what they have seen.
    With,
    /// They are in it, and nowhere else.
    Is,
}

/// What exists, without memory of it.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Everything outside that is this installation's, found by labels and not by memory: the witness
    /// that a delete left nothing.
    async fn list_installation(&self, installation: &InstallationId) -> Result<Vec<OwnedObject>>;

    /// The same for one runtime: exactly what [`Inventory::list_installation`] has of it. Worth an own way where the vendor can be
    /// asked for less than everything; a fence says nothing here.
    async fn list_runtime(&self, runtime: &RuntimeRef) -> Result<Vec<OwnedObject>> {
        let owned = self.list_installation(&runtime.installation).await?;
        Ok(owned.into_iter().filter(|object| object.runtime_id == runtime.runtime_id).collect())
    }
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
