//! The `pulumi` process: found, checked, started, cancelled, and never left behind.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// The oldest CLI whose wire and flags this crate relies on.
pub const MINIMUM_VERSION: (u64, u64, u64) = (3, 238, 0);

/// How long a CLI may take to end by itself after SIGINT before its process group is killed. It waits
/// for providers that are in the middle of a create, and that is worth waiting for.
const GRACE: Duration = Duration::from_secs(60);

/// A `pulumi` executable of a supported version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cli {
    path: PathBuf,
    version: String,
}

impl Cli {
    /// Asks the executable for its version; about 0.3 s.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let output = Command::new(&path)
            .arg("version")
            .env("PULUMI_SKIP_UPDATE_CHECK", "true")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|_| Error::CliMissing { path: path.clone() })?;
        let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match parse_version(&found) {
            Some(version) if version >= MINIMUM_VERSION && version.0 == MINIMUM_VERSION.0 => {
                Ok(Self { path, version: found })
            }
            _ => {
                let (major, minor, patch) = MINIMUM_VERSION;
                Err(Error::CliVersion { found, needed: format!("{major}.{minor}.{patch}") })
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As the CLI prints it, for example `v3.255.0`.
    pub fn version(&self) -> &str {
        &self.version
    }
}

fn parse_version(text: &str) -> Option<(u64, u64, u64)> {
    let mut parts = text.trim().trim_start_matches('v').split(['-', '+']).next()?.split('.');
    let mut next = || parts.next()?.parse().ok();
    Some((next()?, next()?, next()?))
}

/// One run of the CLI. The environment is exactly `env`; nothing is inherited.
pub(crate) struct Invocation<'a> {
    pub cli: &'a Cli,
    pub args: Vec<OsString>,
    pub directory: &'a Path,
    pub env: &'a [(OsString, OsString)],
}

#[derive(Debug)]
pub(crate) struct Exit {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    pub canceled: bool,
}

impl Exit {
    pub fn success(&self) -> bool {
        self.status.success()
    }

    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }
}

/// Runs to the end. Cancelling, or dropping the future, sends SIGINT and, when the CLI has not ended
/// within the grace period, kills its process group.
pub(crate) async fn run(invocation: Invocation<'_>, cancel: &CancellationToken) -> Result<Exit> {
    if cancel.is_cancelled() {
        return Err(Error::Canceled);
    }
    // Files, not pipes: a pipe breaks when this process dies, and a CLI that writes to a broken pipe dies
    // with it in the middle of whatever it is saving. Nothing can fill up or be held open either.
    let (mut stdout, mut stderr) = (scratch()?, scratch()?);
    let child = Command::new(&invocation.cli.path)
        .args(&invocation.args)
        .current_dir(invocation.directory)
        .env_clear()
        .envs(invocation.env.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().map_err(Error::io("start pulumi"))?)
        .stderr(stderr.try_clone().map_err(Error::io("start pulumi"))?)
        .process_group(0)
        .spawn()
        .map_err(Error::io("start pulumi"))?;
    let (status, canceled) = Guard::new(child).wait(cancel).await?;
    Ok(Exit { status, stdout: text(&mut stdout), stderr: text(&mut stderr), canceled })
}

/// A file without a name, in memory or on disk as the system's temporary folder is.
fn scratch() -> Result<File> {
    tempfile::tempfile().map_err(Error::io("make a file for what pulumi prints"))
}

/// Everything that was written; the file's position is shared with the process that wrote.
fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    // What cannot be read is missing from a message; the exit status tells the rest.
    let _ = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Owns the child until it has been waited for; dropped before that, it ends the child.
struct Guard {
    child: Option<Child>,
    group: Option<Pid>,
}

impl Guard {
    fn new(child: Child) -> Self {
        let group = child.id().and_then(|id| Pid::from_raw(id as i32));
        Self { child: Some(child), group }
    }

    async fn wait(&mut self, cancel: &CancellationToken) -> Result<(ExitStatus, bool)> {
        let Some(child) = self.child.as_mut() else {
            return Err(Error::Canceled);
        };
        let (status, canceled) = tokio::select! {
            status = child.wait() => (status, false),
            () = cancel.cancelled() => (end(child, self.group).await, true),
        };
        self.child = None;
        // What it left behind has lost its purpose and must not outlive it.
        signal_group(self.group, Signal::KILL);
        Ok((status.map_err(Error::io("wait for pulumi"))?, canceled))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (Some(mut child), group) = (self.child.take(), self.group) else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move {
                    let _ = end(&mut child, group).await;
                });
            }
            // No runtime is left to wait in: the process must not outlive its owner.
            Err(_) => signal_group(group, Signal::KILL),
        }
    }
}

/// SIGINT to the CLI alone (it tells its own children), then SIGKILL to the whole group.
async fn end(child: &mut Child, group: Option<Pid>) -> std::io::Result<ExitStatus> {
    if let Some(pid) = group {
        let _ = rustix::process::kill_process(pid, Signal::INT);
    }
    match tokio::time::timeout(GRACE, child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            signal_group(group, Signal::KILL);
            child.wait().await
        }
    }
}

fn signal_group(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_cli_prints_them() {
        assert_eq!(parse_version("v3.255.0\n"), Some((3, 255, 0)));
        assert_eq!(parse_version("3.260.0-dev.1+abc"), Some((3, 260, 0)));
        assert_eq!(parse_version("dev"), None);
    }

    #[tokio::test]
    async fn a_missing_cli_is_a_typed_error() {
        let error = Cli::open("/nonexistent/pulumi").await.unwrap_err();
        assert!(matches!(error, Error::CliMissing { .. }));
    }

    #[tokio::test]
    async fn a_program_that_is_not_pulumi_is_refused_by_its_version() {
        let error = Cli::open("echo").await.unwrap_err();
        assert!(matches!(error, Error::CliVersion { .. }), "{error}");
    }

    #[tokio::test]
    async fn what_the_cli_leaves_behind_does_not_hold_up_its_end() {
        let cli = Cli { path: "/bin/sh".into(), version: String::new() };
        let args = ["-c", "sleep 600 & echo said"].map(Into::into).to_vec();
        let invocation = Invocation { cli: &cli, args, directory: Path::new("/"), env: &[] };
        let cancel = CancellationToken::new();
        let ended = tokio::time::timeout(Duration::from_secs(60), run(invocation, &cancel)).await;
        let exit = ended.unwrap().unwrap();
        assert_eq!((exit.success(), exit.stdout.as_str()), (true, "said\n"));
    }
}
