//! A program in an instance that runs: one more process of its tree, with the same environment and home.
//!
//! It is not below the init, but it carries the tree's labels, so that whatever ends the instance ends it as well. It leads
//! a process group of its own, and what is left of that ends with the limit, or when nobody waits any more.

use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use contracts::ErrorCode;
use provider_api::{Captured, Exec, Executed, ProviderError, Result, RuntimeRef};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::lifecycle::LocalLifecycle;

/// What a command left running in the background may hold its output open; it is not waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A command that was begun, or why it could not be.
pub(crate) enum Begun {
    Runs(Running),
    /// As a shell has it.
    Left(Executed),
}

pub(crate) struct Running {
    child: Child,
    group: Group,
}

/// Ends all of a command unless it has ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        // An empty group is an error and no harm: its number stays taken until the leader was waited for.
        if let Some(leader) = self.0 {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

#[async_trait]
impl Exec for LocalLifecycle {
    async fn exec(&self, runtime: &RuntimeRef, command: &[String], limit: Duration) -> Result<Executed> {
        let (of, words) = (runtime.clone(), command.to_vec());
        match self.host.run(move |host| host.begin(&of, &words)).await? {
            Begun::Left(executed) => Ok(executed),
            Begun::Runs(running) => finish(running, command, limit).await,
        }
    }
}

pub(crate) fn begin(command: &mut Command, program: &str) -> Result<Begun> {
    let prepared = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = match prepared.spawn() {
        Ok(child) => child,
        Err(error) => return not_begun(program, &error),
    };
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    Ok(Begun::Runs(Running { child, group: Group(pid) }))
}

async fn finish(running: Running, command: &[String], limit: Duration) -> Result<Executed> {
    let Running { mut child, mut group } = running;
    let (mut stdout, mut stderr) = (Captured::default(), Captured::default());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let status = {
        let reading = async { tokio::join!(read(out, &mut stdout), read(err, &mut stderr)) };
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
        timeout(limit, ended).await
    };
    let status = match status {
        Ok(status) => status,
        Err(_) => {
            drop(group);
            let _ = child.wait().await;
            return Err(too_long(command, limit));
        }
    };
    // What went on in the background is the instance's.
    group.0 = None;
    let status = status.map_err(|error| {
        ProviderError::unknown(
            ErrorCode::ProviderFailed,
            format!("how the command ended is not known: {error}"),
        )
    })?;
    let exit_code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(Executed { exit_code, stdout, stderr })
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
    let left = |exit_code| {
        let stderr = format!("{program}: {error}\n").into();
        Ok(Begun::Left(Executed { exit_code, stdout: Captured::default(), stderr }))
    };
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => left(127),
        ErrorKind::PermissionDenied => left(126),
        ErrorKind::ArgumentListTooLong => Err(ProviderError::new(
            ErrorCode::BadRequest,
            "the command has more words than a program can be given",
        )),
        _ => Err(ProviderError::new(
            ErrorCode::ProviderFailed,
            format!("{program} cannot be started: {error}"),
        )),
    }
}

fn too_long(command: &[String], limit: Duration) -> ProviderError {
    let program = command.first().map_or("", String::as_str);
    let message = format!("{program} did not end within {limit:?} and was ended; what it did is not known");
    ProviderError::unknown(ErrorCode::ProviderTimeout, message).with_action("Give it more time.")
}

pub(crate) fn does_not_run(runtime: &RuntimeRef) -> ProviderError {
    let message = format!("the instance of {} does not run, so no command can", runtime.runtime_id);
    ProviderError::new(ErrorCode::WorkspaceStopped, message).with_action("`pilot ws start NAME` starts it.")
}

pub(crate) fn empty() -> ProviderError {
    ProviderError::new(ErrorCode::BadRequest, "a command without a program")
}
