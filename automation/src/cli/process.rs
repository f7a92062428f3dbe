//! One `pulumi` process: started, watched, cancelled, and never left behind.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::tail::Tail;
use crate::engine::Place;
use crate::error::{Error, Result};
use crate::folder::Announcement;
use crate::group;
use crate::options::Printed;

/// How long a CLI may take to end by itself after SIGINT before its process group is killed. It waits
/// for providers that are in the middle of a create, and that is worth waiting for.
const GRACE: Duration = Duration::from_secs(60);

/// How often a listener gets what was printed meanwhile.
const LOOK: Duration = Duration::from_millis(100);

/// One run of the CLI. The environment is exactly `env`; nothing is inherited.
pub(crate) struct Invocation<'a> {
    pub path: &'a Path,
    pub args: &'a [String],
    pub directory: &'a Path,
    pub env: Vec<(OsString, OsString)>,
    /// What it reads from its standard input.
    pub input: Option<&'a str>,
    /// Receives what it prints while it runs, line by line.
    pub output: Option<&'a mpsc::Sender<Printed>>,
    /// The stack whose lock it takes.
    pub locks: Option<(&'a Place, &'a str)>,
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
    let stdin = match invocation.input {
        Some(text) => Stdio::from(hidden(text).map_err(Error::io("hand input to pulumi"))?),
        None => Stdio::null(),
    };
    let child = Command::new(invocation.path)
        .args(invocation.args)
        .current_dir(invocation.directory)
        .env_clear()
        .envs(invocation.env)
        .stdin(stdin)
        .stdout(stdout.try_clone().map_err(Error::io("start pulumi"))?)
        .stderr(stderr.try_clone().map_err(Error::io("start pulumi"))?)
        .process_group(0)
        .spawn()
        .map_err(Error::io("start pulumi"))?;
    let mut guard = Guard { child: Some(child), announcement: None };
    if let (Some((place, stack)), Some(pid)) =
        (invocation.locks, guard.child.as_ref().and_then(tokio::process::Child::id))
    {
        guard.announcement = Announcement::write(place, stack, pid)?;
    }
    let (status, canceled) = match invocation.output {
        None => guard.wait(cancel).await?,
        Some(listener) => {
            let (mut out, mut err) =
                (Tail::new(&stdout, Printed::Stdout), Tail::new(&stderr, Printed::Stderr));
            let ended = {
                let ended = guard.wait(cancel);
                tokio::pin!(ended);
                loop {
                    tokio::select! {
                        ended = &mut ended => break ended,
                        () = tokio::time::sleep(LOOK) => {
                            out.send(listener, false);
                            err.send(listener, false);
                        }
                    }
                }
            };
            out.send(listener, true);
            err.send(listener, true);
            ended?
        }
    };
    Ok(Exit { status, stdout: text(&mut stdout), stderr: text(&mut stderr), canceled })
}

/// A file that only this process and its child can ever see: without a name, and on Linux in memory.
fn hidden(text: &str) -> std::io::Result<File> {
    let mut file = nameless()?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

#[cfg(target_os = "linux")]
fn nameless() -> std::io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    Ok(memfd_create("pulumi-input", MemfdFlags::CLOEXEC)?.into())
}

/// No other system has files in memory; one for this user alone that has lost its name comes closest.
#[cfg(not(target_os = "linux"))]
fn nameless() -> std::io::Result<File> {
    tempfile::tempfile()
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
    announcement: Option<Announcement>,
}

/// One that was killed, or broke down, has left its lock.
fn ended(status: &std::io::Result<ExitStatus>, announcement: Option<Announcement>) {
    if let (Ok(_), Some(announcement)) = (status, announcement) {
        announcement.ended();
    }
}

impl Guard {
    async fn wait(&mut self, cancel: &CancellationToken) -> Result<(ExitStatus, bool)> {
        let Some(child) = self.child.as_mut() else {
            return Err(Error::Canceled);
        };
        let (status, canceled) = tokio::select! {
            // What it left behind has lost its purpose and must not outlive it.
            status = group::wait(child) => (status, false),
            () = cancel.cancelled() => (end(child).await, true),
        };
        self.child = None;
        ended(&status, self.announcement.take());
        Ok((status.map_err(Error::io("wait for pulumi"))?, canceled))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let announcement = self.announcement.take();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move {
                    ended(&end(&mut child).await, announcement);
                });
            }
            // No runtime is left to wait in: the process must not outlive its owner.
            Err(_) => kill(&child),
        }
    }
}

/// SIGINT to the CLI alone (it tells its own children), then SIGKILL to the whole group.
async fn end(child: &mut Child) -> std::io::Result<ExitStatus> {
    if let Some(pid) = group::of(child) {
        let _ = rustix::process::kill_process(pid, Signal::INT);
    }
    match tokio::time::timeout(GRACE, group::wait(child)).await {
        Ok(status) => status,
        Err(_) => {
            kill(child);
            group::wait(child).await
        }
    }
}

fn kill(child: &Child) {
    if let Some(group) = group::of(child) {
        group::kill(group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_cli_leaves_behind_does_not_hold_up_its_end() {
        let exit = shell("sleep 600 & echo said", None, None).await;
        assert_eq!((exit.success(), exit.stdout.as_str()), (true, "said\n"));
    }

    #[tokio::test]
    async fn input_reaches_the_process_and_is_in_no_argument() {
        let exit = shell("cat; tr '\\0' ' ' < /proc/$$/cmdline", Some("canary-71"), None).await;
        assert!(exit.stdout.starts_with("canary-71"), "{}", exit.stdout);
        assert_eq!(exit.stdout.matches("canary-71").count(), 1);
    }

    #[tokio::test]
    async fn a_listener_gets_whole_lines_while_the_process_runs() {
        let (sender, mut lines) = mpsc::channel(64);
        let script = "printf 'a\\nhalf'; read line; printf ' done\\n'; echo bad >&2; printf end";
        let exit = shell(script, Some("x\n"), Some(&sender)).await;
        drop(sender);
        assert_eq!(exit.stdout, "a\nhalf done\nend");
        let (mut out, mut err) = (String::new(), String::new());
        while let Some(printed) = lines.recv().await {
            match printed {
                Printed::Stdout(text) => out.push_str(&text),
                Printed::Stderr(text) => err.push_str(&text),
            }
        }
        assert_eq!((out.as_str(), err.as_str()), ("a\nhalf done\nend", "bad\n"));
    }

    #[tokio::test]
    async fn more_output_than_any_pipe_holds_blocks_nobody() {
        let exit = shell("head -c 20000000 /dev/zero | tr '\\0' x; exit 3", None, None).await;
        assert_eq!((exit.code(), exit.stdout.len()), (Some(3), 20_000_000));
    }

    #[tokio::test]
    async fn a_dropped_run_ends_its_process_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let (began, ended) = (folder.path().join("began"), folder.path().join("ended"));
        let script = format!(
            "trap 'touch {}; exit' INT; touch {}; while true; do sleep 0.05; done",
            ended.display(),
            began.display()
        );
        let task = tokio::spawn(async move { shell(&script, None, None).await });
        eventually(|| began.exists()).await;
        task.abort();
        eventually(|| ended.exists()).await;
    }

    async fn eventually(what: impl Fn() -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while !what() {
            assert!(tokio::time::Instant::now() < deadline, "it never came true");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn shell(script: &str, input: Option<&str>, output: Option<&mpsc::Sender<Printed>>) -> Exit {
        // A shell cannot trap what was ignored when it began, as in jobs that run in the background.
        let args = ["--default-signal=INT", "sh", "-c", script].map(str::to_owned);
        let env = vec![("PATH".into(), "/usr/bin:/bin".into())];
        let path = Path::new("/usr/bin/env");
        let invocation =
            Invocation { path, args: &args, directory: Path::new("/"), env, input, output, locks: None };
        let cancel = CancellationToken::new();
        let ended = tokio::time::timeout(Duration::from_secs(60), run(invocation, &cancel)).await;
        ended.unwrap().unwrap()
    }
}
