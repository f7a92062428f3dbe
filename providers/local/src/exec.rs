//! A program in an instance that runs: one more process of its tree, with the same environment and home.
//!
//! It is not below the init, but it carries the tree's labels, so that whatever ends the instance ends it as well. It leads
//! a process group of its own, which is asked to end with the limit, or when nobody waits any more, and killed a little later.

use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use contracts::ErrorCode;
use futures_util::FutureExt as _;
use provider_api::{Captured, Exec, Executed, ProviderError, Result, RuntimeRef};
use provider_kit::command::{self, KILLED};
use provider_kit::errors;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use crate::lifecycle::LocalLifecycle;
use crate::procfs::Identity;
use crate::tree;

/// What a command left running in the background may hold its output open; it is not waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What a command and its group get to end by themselves before they are killed.
const POLITE: Duration = Duration::from_secs(2);

/// A command that was begun, or why it could not be.
pub(crate) enum Begun {
    Runs(Running),
    /// As a shell has it.
    Left(Executed),
}

/// Ends all of a command when it is dropped, unless the command has ended.
pub(crate) struct Running {
    child: Option<Child>,
    leader: Option<Pid>,
    /// In the environment of all that it has begun.
    word: String,
    /// The instance that it runs in.
    instance: Identity,
}

impl Running {
    /// Also what has left the group.
    async fn kill(&self) {
        self.signal(Signal::KILL);
        let word = self.word.clone();
        let _ = tokio::task::spawn_blocking(move || tree::kill_marked(&word)).await;
    }

    /// An empty group is an error and no harm: its number stays taken until the leader was waited for.
    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            let _ = kill_process_group(leader, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take().filter(|child| child.id().is_some()) else { return };
        self.signal(Signal::TERM);
        let left = Self {
            child: None,
            leader: self.leader,
            word: std::mem::take(&mut self.word),
            instance: self.instance,
        };
        let Ok(runtime) = Handle::try_current() else { return left.signal(Signal::KILL) };
        runtime.spawn(async move {
            // Not waited for before: its number is the group's.
            sleep(POLITE).await;
            left.kill().await;
            let _ = child.wait().await;
        });
    }
}

#[async_trait]
impl Exec for LocalLifecycle {
    async fn exec(&self, runtime: &RuntimeRef, command: &[String], limit: Duration) -> Result<Executed> {
        let (of, words) = (runtime.clone(), command.to_vec());
        let running = match self.host.run(move |host| host.begin(&of, &words)).await? {
            Begun::Left(executed) => return Ok(executed),
            Begun::Runs(running) => running,
        };
        let instance = running.instance;
        let done = finish(running, limit).await?;
        if done.timed_out || done.exit_code != KILLED {
            return Ok(done);
        }
        let of = runtime.clone();
        match self.host.run(move |host| host.leader_after_others(&of)).await? {
            Some(leader) if leader == instance => Ok(done),
            _ => Err(errors::ended_meanwhile(("instance of", runtime.runtime_id.as_str()))),
        }
    }
}

pub(crate) fn begin(prepared: &mut Command, program: &str, instance: Identity) -> Result<Begun> {
    let word = command::word();
    let prepared =
        prepared.env(command::MARK, &word).process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = match prepared.spawn() {
        Ok(child) => child,
        Err(error) => return not_begun(program, &error),
    };
    let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    Ok(Begun::Runs(Running { child: Some(child), leader, word, instance }))
}

async fn finish(mut running: Running, limit: Duration) -> Result<Executed> {
    let (mut stdout, mut stderr) = (Captured::default(), Captured::default());
    let Some(child) = &mut running.child else { return Ok(Executed::late(stdout, stderr)) };
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let status = {
        let reading = async { tokio::join!(read(out, &mut stdout), read(err, &mut stderr)) }.fuse();
        tokio::pin!(reading);
        let ended = async {
            tokio::select! {
                status = child.wait() => {
                    let _ = timeout(LAST_WORDS, &mut reading).await;
                    status
                }
                _ = &mut reading => child.wait().await,
            }
        };
        match timeout(limit, ended).await {
            Ok(status) => Some(status),
            Err(_) => {
                running.signal(Signal::TERM);
                // The leader is not waited for before the kill: its number is the group's.
                let _ = timeout(POLITE, &mut reading).await;
                running.kill().await;
                let _ = timeout(LAST_WORDS, &mut reading).await;
                None
            }
        }
    };
    // What went on in the background is the instance's.
    let child = running.child.take();
    let Some(status) = status else {
        if let Some(mut child) = child {
            let _ = child.wait().await;
        }
        return Ok(Executed::late(stdout, stderr));
    };
    let status = status.map_err(|error| {
        ProviderError::unknown(
            ErrorCode::ProviderFailed,
            format!("how the command ended is not known: {error}"),
        )
    })?;
    let exit_code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(Executed::new(exit_code, stdout, stderr))
}

async fn read(stream: Option<impl AsyncRead + Unpin>, into: &mut Captured) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; 16 * 1024];
    // A pipe that breaks has ended.
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        into.add(&buffer[..read]);
    }
}

fn not_begun(program: &str, error: &io::Error) -> Result<Begun> {
    let left = |exit_code, why| {
        Ok(Begun::Left(Executed::new(exit_code, Captured::default(), format!("{program}: {why}\n"))))
    };
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => left(127, "not found"),
        ErrorKind::PermissionDenied => left(126, "Permission denied"),
        ErrorKind::ArgumentListTooLong => Err(ProviderError::new(
            ErrorCode::BadRequest,
            "the command has more words than a program can be given",
        )),
        ErrorKind::WouldBlock | ErrorKind::OutOfMemory => Err(errors::not_begun(program, &error.to_string())),
        _ => Err(ProviderError::new(
            ErrorCode::ProviderFailed,
            format!("{program} cannot be started: {error}"),
        )),
    }
}

pub(crate) fn does_not_run(runtime: &RuntimeRef) -> ProviderError {
    let message = format!("the instance of {} does not run, so no command can", runtime.runtime_id);
    ProviderError::new(ErrorCode::WorkspaceStopped, message).with_action("`pilot ws start NAME` starts it.")
}

pub(crate) fn empty() -> ProviderError {
    ProviderError::new(ErrorCode::BadRequest, "a command without a program")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_process_left_is_no_answer_of_the_command() {
        // EAGAIN and ENOMEM, as fork gives them.
        for number in [11, 12] {
            let error = not_begun("make", &io::Error::from_raw_os_error(number)).map(|_| ()).unwrap_err();
            assert_eq!(
                (error.code, error.outcome.clone()),
                (ErrorCode::InstanceFailed, provider_api::Outcome::NothingHappened)
            );
            assert!(error.message.starts_with("make could not be begun"), "{error}");
            assert!(error.action.unwrap().contains("`pilot ws restart NAME`"));
        }
    }
}
