//! One process of the host: started, leased to runs, watched until its end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::client;
use super::recycle::{Limits, Recycle};
use super::said::Said;
use super::socket;
use super::unsettled::Unsettled;
use super::wire::{PROTOCOL, Ready};
use crate::error::Error;
use crate::group;

/// Everything that the process finds in its environment.
pub(super) type Environment = BTreeMap<OsString, OsString>;

/// How long a process may take until it answers.
const START: Duration = Duration::from_secs(30);

/// How long a process may take to end by itself once nobody wants it any more: as long as a run has that
/// is cancelled in order, and a little.
const FAREWELL: Duration = Duration::from_secs(70);

/// How processes are started and how long things may take.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pub path: PathBuf,
    pub history: Option<u32>,
    pub runs: Option<u32>,
    pub idle: Duration,
    pub grace: Duration,
    pub last: Duration,
    pub recycle: Limits,
}

/// Why there is no process.
#[derive(Debug)]
pub(super) enum NoStart {
    /// Another try may end better.
    Again(String),
    /// It will not.
    Never(Error),
}

#[derive(Debug)]
pub(super) struct Process {
    pub socket: PathBuf,
    pub pid: u32,
    /// Runs that have not ended, by the stacks whose state they may leave in the middle of something.
    pub unsettled: Unsettled,
    pub recycle: Recycle,
    /// None once nobody may signal it any more.
    group: Mutex<Option<Pid>>,
    said: Said,
    usage: Mutex<Usage>,
    /// Tells the watcher that `usage` is another one.
    changed: Notify,
    end: watch::Receiver<Option<i32>>,
    _folder: socket::Folder,
}

#[derive(Debug)]
struct Usage {
    leases: usize,
    /// When the last lease ended.
    since: Instant,
    /// Nobody gets a lease any more.
    retired: bool,
    /// The process lives as long as this is open.
    stdin: Option<OwnedFd>,
    /// When it was closed.
    closed: Option<Instant>,
    /// A run came to its end in it.
    proved: bool,
}

/// Keeps the process from being ended for idleness.
#[derive(Debug)]
pub(super) struct Lease(pub Arc<Process>);

impl Drop for Lease {
    fn drop(&mut self) {
        let mut usage = self.0.usage();
        usage.leases -= 1;
        usage.since = Instant::now();
        if usage.leases == 0 && usage.retired {
            usage.close();
        }
        drop(usage);
        self.0.changed.notify_one();
    }
}

impl Usage {
    fn close(&mut self) {
        if self.stdin.take().is_some() {
            self.closed = Some(Instant::now());
        }
    }
}

impl Process {
    /// Until it answers. `ended` is called when it has ended in any way but in order and at our wish, and
    /// before anybody hears of it.
    pub async fn start(
        launch: &Launch,
        env: &Environment,
        ended: impl FnOnce(&Process) + Send + 'static,
    ) -> Result<Arc<Self>, NoStart> {
        let folder = socket::Folder::new().map_err(|error| NoStart::Again(error.to_string()))?;
        let path = folder.path().join("s");
        let mut child = Starting(Some(spawn(launch, env, &path)?));
        let (pid, stdin, stdout, stderr) = child.parts()?;
        let said = Said::default();
        tokio::spawn(said.clone().listen(stderr, pid));
        let ready = tokio::time::timeout(START, ready(stdout, &path, pid));
        if let Err(reason) = ready.await.unwrap_or_else(|_| Err(not_ready())) {
            return Err(match reason {
                NoStart::Again(reason) => NoStart::Again(child.give_up(&reason, &said).await),
                never => never,
            });
        }
        let (sender, end) = watch::channel(None);
        let process = Arc::new(Self {
            socket: path,
            pid,
            unsettled: Unsettled::default(),
            recycle: Recycle::default(),
            group: Mutex::new(Pid::from_raw(pid as i32)),
            said,
            usage: Mutex::new(Usage {
                leases: 0,
                since: Instant::now(),
                retired: false,
                stdin: Some(stdin),
                closed: None,
                proved: false,
            }),
            changed: Notify::new(),
            end,
            _folder: folder,
        });
        if let Some(child) = child.0.take() {
            tokio::spawn(watch_over(child, Arc::clone(&process), launch.idle, sender, ended));
        }
        tracing::info!(pid, "an engine host is ready");
        Ok(process)
    }

    /// None when it has ended or is about to.
    pub fn lease(self: &Arc<Self>) -> Option<Lease> {
        let mut usage = self.usage();
        if usage.retired || !self.is_alive() {
            return None;
        }
        usage.leases += 1;
        Some(Lease(Arc::clone(self)))
    }

    pub fn is_alive(&self) -> bool {
        // A watcher that is gone, with its runtime, watches over nothing.
        self.end.has_changed().is_ok() && self.end.borrow().is_none()
    }

    /// Waits for its end and tells the signal.
    pub async fn ended(&self) -> i32 {
        let mut end = self.end.clone();
        let signal = end.wait_for(Option::is_some).await.ok().and_then(|end| *end);
        signal.unwrap_or(Signal::KILL.as_raw())
    }

    /// No more leases; it ends when the last one has ended.
    pub fn retire(&self) {
        let mut usage = self.usage();
        usage.retired = true;
        if usage.leases == 0 {
            usage.close();
        }
        drop(usage);
        self.changed.notify_one();
    }

    /// Ends it at once, with everything that runs in it.
    pub fn kill(&self) {
        if let Some(group) = *self.group() {
            group::kill(group);
        }
    }

    /// The number of the group may soon be another's.
    fn forget_group(&self) {
        *self.group() = None;
    }

    fn group(&self) -> MutexGuard<'_, Option<Pid>> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn prove(&self) {
        self.usage().proved = true;
    }

    pub fn proved(&self) -> bool {
        self.usage().proved
    }

    pub fn is_retired(&self) -> bool {
        self.usage().retired
    }

    fn retire_if_idle(&self, idle: Duration) {
        let mut usage = self.usage();
        if usage.leases == 0 && usage.since.elapsed() >= idle {
            usage.retired = true;
            usage.close();
        }
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When it is to be looked at again: idle for long enough, or still there after its farewell.
    fn next_look(&self, idle: Duration) -> Option<Instant> {
        let usage = self.usage();
        match usage.closed {
            Some(closed) => Some(closed + FAREWELL),
            None => (usage.leases == 0).then_some(usage.since + idle),
        }
    }
}

/// A process that is not known to work yet; dropped, it is killed.
struct Starting(Option<Child>);

impl Starting {
    fn parts(&mut self) -> Result<(u32, OwnedFd, impl AsyncRead + use<>, impl AsyncRead + use<>), NoStart> {
        let missing = || NoStart::Again("it has no standard streams".to_owned());
        let child = self.0.as_mut().ok_or_else(missing)?;
        let pid = child.id().ok_or_else(missing)?;
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdin = stdin.into_owned_fd().map_err(|error| NoStart::Again(error.to_string()))?;
        Ok((pid, stdin, child.stdout.take().ok_or_else(missing)?, child.stderr.take().ok_or_else(missing)?))
    }

    /// The reason with how it ended and its last words.
    async fn give_up(mut self, reason: &str, said: &Said) -> String {
        let Some(mut child) = self.0.take() else { return reason.to_owned() };
        // One that ends by itself has its own reason, and all of it is wanted.
        let status = match tokio::time::timeout(Duration::from_millis(500), group::wait(&mut child)).await {
            Ok(status) => status,
            Err(_) => {
                if let Some(group) = group::of(&child) {
                    group::kill(group);
                }
                group::wait(&mut child).await
            }
        };
        // What it wrote last may still be on its way.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let status = status.map(|status| format!(" ({status})")).unwrap_or_default();
        format!("{reason}{status}\n{}", said.tail()).trim().to_owned()
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(group) = self.0.as_ref().and_then(group::of) {
            group::kill(group);
        }
    }
}

fn spawn(launch: &Launch, env: &Environment, socket: &Path) -> Result<Child, NoStart> {
    let mut command = Command::new(&launch.path);
    command.arg("--socket").arg(socket);
    if let Some(runs) = launch.runs {
        command.arg("--parallel-runs").arg(runs.to_string());
    }
    if let Some(history) = launch.history {
        command.arg("--history").arg(history.to_string());
    }
    command.current_dir("/").env_clear().envs(env);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => NoStart::Never(Error::CliMissing { path: launch.path.clone() }),
        _ => NoStart::Again(error.to_string()),
    })
}

/// Until it says that it listens and answers in the words of our protocol.
async fn ready(
    stdout: impl AsyncRead + Send + Unpin + 'static,
    socket: &Path,
    pid: u32,
) -> Result<(), NoStart> {
    let mut lines = BufReader::new(stdout).lines();
    let line = match lines.next_line().await {
        Ok(Some(line)) => line,
        Ok(None) => return Err(NoStart::Again("it ended before it was ready".to_owned())),
        Err(error) => return Err(NoStart::Again(error.to_string())),
    };
    match serde_json::from_str::<Ready>(&line) {
        Ok(ready) if Path::new(&ready.listening) == socket => {}
        _ => return Err(NoStart::Again(format!("instead of being ready it said {line:?}"))),
    }
    // Nothing more is expected there, but it must never block.
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            tracing::debug!(pid, "engine host, on its standard output: {line}");
        }
    });
    match client::health(socket).await {
        Ok(health) if health.protocol == PROTOCOL => Ok(()),
        Ok(health) => Err(NoStart::Never(Error::CliVersion {
            found: format!("engine host {} with protocol {}", health.engine, health.protocol),
            needed: format!("protocol {PROTOCOL}"),
        })),
        Err(failure) => Err(NoStart::Again(format!("it does not answer: {failure:?}"))),
    }
}

fn not_ready() -> NoStart {
    NoStart::Again(format!("it was not ready within {START:?}"))
}

/// The process's whole life: ends it when nobody uses it, and tells of its end however that came.
async fn watch_over(
    mut child: Child,
    process: Arc<Process>,
    idle: Duration,
    end: watch::Sender<Option<i32>>,
    ended: impl FnOnce(&Process),
) {
    // What it leaves behind, such as plugins, has lost its purpose.
    let end_group = |group| {
        group::kill(group);
        process.forget_group();
    };
    let status = loop {
        let look = process.next_look(idle);
        tokio::select! {
            status = group::wait_and(&mut child, end_group) => break status,
            () = process.changed.notified() => {}
            () = tokio::time::sleep_until(look.unwrap_or_else(Instant::now)), if look.is_some() => {
                if process.usage().closed.is_some_and(|closed| closed.elapsed() >= FAREWELL) {
                    tracing::warn!(pid = process.pid, "the engine host does not end by itself; it is killed");
                    process.kill();
                    break group::wait_and(&mut child, end_group).await;
                }
                process.retire_if_idle(idle);
            }
        }
    };
    match status {
        Ok(status) if status.success() && process.is_retired() => {
            tracing::info!(pid = process.pid, "the engine host has ended");
        }
        _ => {
            mourn(&process, status.as_ref().ok()).await;
            ended(&process);
        }
    }
    let signal = status.ok().and_then(|status| status.signal()).unwrap_or(Signal::ABORT.as_raw());
    let _ = end.send(Some(signal));
}

async fn mourn(process: &Process, status: Option<&ExitStatus>) {
    let status = status.map(ExitStatus::to_string).unwrap_or_default();
    // What it wrote last may still be on its way.
    tokio::time::sleep(Duration::from_millis(20)).await;
    tracing::error!(pid = process.pid, status, said = process.said.all(), "the engine host broke down");
}
