//! The engine host as an [`Engine`]: `pilot-engine`, a process that keeps Pulumi's engine warm and runs
//! any number of operations at once.
//!
//! It does what [`crate::Cli`] does, with the same commands, options, events and errors, and without
//! starting a process for each command. What it does not know, it says before anything has happened, and
//! the CLI does it. What follows from sharing a process is dealt with here: runs with
//! different environments get processes of their own, and when a process dies, the runs in it fail, the
//! stacks they were working on are recovered, and the next call starts another one. A process that
//! takes too much memory is recycled while it works.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::cli::{self, Cli, is_supported, parse_version, unsupported};
use crate::engine::{Command, Engine, Operation, OperationResult, Place};
use crate::error::{Error, Result};
use crate::{argv, environment, folder};

mod install;
pub use install::HostInstall;

mod route;

mod run;

mod fault;
mod request;

mod pool;
mod process;
mod recovery;
mod recycle;
mod said;
mod socket;
mod unsettled;

mod client;
mod wire;

#[cfg(test)]
mod tests;

use pool::Pool;
use process::{Environment, Launch};
use unsettled::StackKey;

/// How long a process lives that nobody uses.
const IDLE: Duration = Duration::from_secs(10 * 60);

/// How long a run may take to end by force before its process is killed.
const LAST: Duration = Duration::from_secs(10);

/// A `pilot-engine` executable, and the processes that were started from it. Its clones share them; they
/// end with the last one.
#[derive(Debug, Clone)]
pub struct Host {
    cli: Option<Cli>,
    version: String,
    pool: Arc<Pool>,
}

impl Host {
    /// How long a run that is cancelled may take to end in order before it is ended by force: the host waits for providers
    /// that are in the middle of a create, and that is worth waiting for. Who serves providers itself has to live for longer.
    pub const GRACE: Duration = Duration::from_secs(60);

    /// Asks the executable for its version. A mere name is looked for in the `PATH` of this process. [`Error::CliMissing`] when it does not start,
    /// [`Error::CliVersion`] when its engine is not one that this crate works with.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = cli::found(path.into())?;
        let output = tokio::process::Command::new(&path)
            .arg("--version")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|_| Error::CliMissing { path: path.clone() })?;
        let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let (version, parsed) = version_in(&printed).ok_or_else(|| unsupported(printed.clone()))?;
        if !is_supported(parsed) {
            return Err(unsupported(printed));
        }
        let launch = Launch {
            path,
            history: None,
            runs: None,
            idle: IDLE,
            grace: Self::GRACE,
            last: LAST,
            recycle: recycle::Limits::default(),
        };
        Ok(Self { cli: None, version, pool: Arc::new(Pool::new(launch, recovery::begin)) })
    }

    /// Does with this CLI what the host does not: plugins, policies, organisations, environments, the
    /// making of projects, services that the CLI is logged in to, and logs of the engine. Programs of a project find
    /// their language hosts beside it. Without one, such calls are [`Error::NeedsCli`].
    pub fn with_cli(mut self, cli: Cli) -> Self {
        self.cli = Some(cli);
        // One that is opened once and given to many must not share its processes with them.
        self.with_launch(|_| {})
    }

    /// Only so many versions of each stack's state are kept; all of them otherwise, as the CLI does.
    pub fn with_history(self, versions: u32) -> Self {
        self.with_launch(|launch| launch.history = Some(versions))
    }

    /// At most so many runs at once in each process; the host's own default otherwise.
    pub fn with_runs(self, most: u32) -> Self {
        self.with_launch(|launch| launch.runs = Some(most.max(1)))
    }

    /// Recycles a process after so many operations; by default it serves any number, because they leave nothing
    /// behind in it.
    pub fn recycle_after(self, operations: u32) -> Self {
        self.with_launch(|launch| launch.recycle.operations = Some(operations.max(1)))
    }

    /// Recycles a process that takes more memory than this, in bytes; 512 MiB by default. Nobody waits for that, and
    /// runs that are in it go on to their end.
    pub fn recycle_above(self, memory: u64) -> Self {
        self.with_launch(|launch| launch.recycle.memory = memory)
    }

    /// Ends a process that nobody has used for this long; 10 min by default.
    pub fn with_idle_limit(self, idle: Duration) -> Self {
        self.with_launch(|launch| launch.idle = idle)
    }

    /// Processes that run already are not those of the changed copy.
    fn with_launch(mut self, change: impl FnOnce(&mut Launch)) -> Self {
        let mut launch = self.pool.launch.clone();
        change(&mut launch);
        self.pool = Arc::new(Pool::new(launch, recovery::begin));
        self
    }

    /// The executable.
    pub fn path(&self) -> &Path {
        &self.pool.launch.path
    }

    /// The processes that take runs now. One that was replaced may still be busy with its last ones.
    pub fn processes(&self) -> Vec<u32> {
        self.pool.processes()
    }

    fn cli(&self, command: String, reason: String) -> Result<&Cli> {
        self.cli.as_ref().ok_or(Error::NeedsCli { command, reason })
    }

    /// One process is one environment. What differs between workspaces that can share one travels with
    /// each request.
    fn env(&self, place: &Place) -> Environment {
        let tools = self.cli.as_ref().and_then(|cli| cli.path().parent());
        let of_place = environment::of_place(place).filter(|(key, _)| !route::travels(place, key));
        let of_engine = environment::of_engine(place, tools).into_iter();
        of_engine.filter(|(key, _)| !route::is_of_request(key)).chain(of_place).collect()
    }
}

#[async_trait]
impl Engine for Host {
    fn version(&self) -> &str {
        &self.version
    }

    async fn command(&self, place: &Place, command: &Command) -> Result<String> {
        match self.own_command(place, command).await {
            Err(Error::NeedsCli { reason, .. }) => {
                let cli = self.cli(command.name(), reason)?;
                if !command.about().is_empty() {
                    self.finish_journal(place, command.about()).await?;
                }
                cli.command(place, command).await
            }
            result => result,
        }
    }

    async fn operate(&self, place: &Place, operation: &Operation<'_>) -> Result<OperationResult> {
        match self.own_operation(place, operation).await {
            Err(Error::NeedsCli { reason, .. }) => {
                let cli = self.cli(operation.kind.command().to_owned(), reason)?;
                if !operation.kind.is_preview() {
                    self.finish_journal(place, operation.stack).await?;
                }
                cli.operate(place, operation).await
            }
            result => result,
        }
    }
}

impl Host {
    /// Before the CLI is given a stack: what a host that died has begun is brought into the state, which the CLI would
    /// run past.
    async fn finish_journal(&self, place: &Place, stack: &str) -> Result<()> {
        if !route::keeps_journals(place) || !folder::may_be_unfinished(place, stack) {
            return Ok(());
        }
        run::recover(&self.pool, &self.env(place), place, stack).await
    }
}

/// What the host does itself. [`Error::NeedsCli`], of which nothing has happened, is for the CLI.
impl Host {
    async fn own_command(&self, place: &Place, command: &Command) -> Result<String> {
        if let Some(reason) = route::command(place, command) {
            return Err(Error::NeedsCli { command: command.name(), reason: reason.to_owned() });
        }
        let (env, never) = (self.env(place), CancellationToken::new());
        let Some(stack) = &command.locks else {
            return run::command(&self.pool, &env, place, command).await;
        };
        self.pool.recoveries.settled(&StackKey::new(place, stack), &never).await?;
        run::waiting(place.lock_timeout, &never, || run::command(&self.pool, &env, place, command)).await
    }

    async fn own_operation(&self, place: &Place, operation: &Operation<'_>) -> Result<OperationResult> {
        // Before it waits for anything: what cannot be done is refused at once.
        let command = argv::of_operation(operation)?;
        if let Some(reason) = route::operation(place, operation) {
            return Err(Error::NeedsCli { command: command.name(), reason: reason.to_owned() });
        }
        let options = operation.options;
        let mut env = self.env(place);
        env.extend(environment::of_run(options));
        let run = || run::operation(&self.pool, &env, place, operation, &command);
        if operation.kind.is_preview() {
            return run().await;
        }
        self.pool.recoveries.settled(&StackKey::new(place, operation.stack), &options.cancel).await?;
        run::waiting(options.lock_timeout, &options.cancel, run).await
    }
}

/// The first version in a text, as it is written there.
fn version_in(text: &str) -> Option<(String, (u64, u64, u64))> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || ['.', '-', '+'].contains(&letter);
    let mut words = text.split(|letter| !is_part(letter));
    words.find_map(|word| Some((word.to_owned(), parse_version(word)?)))
}
