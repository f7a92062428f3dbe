//! A program inside a running container, as the instance's user.
//!
//! Docker cannot end what it runs for somebody. So the program's shell has an input that is held open as long as somebody waits
//! here, and ends the program when it is not: with its time, or when this program or the connection is gone.

use std::time::Duration;

use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::StartExecResults;
use bollard::models::{ContainerInspectResponse, ExecConfig};
use contracts::ErrorCode;
use contracts::boot::HOME;
use futures_util::{Stream, StreamExt};
use provider_api::{Captured, Exec, Executed, Outcome, ProviderError, Result, RunStatus, RuntimeRef};
use provider_kit::command::{Complaints, KILLED, Wrapped};
use provider_kit::errors;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep, timeout};

use crate::container::{self, Machine};
use crate::engine::Engine;
use crate::failure::classify;
use crate::lifecycle::DockerLifecycle;

/// What a command gets to end once its time is over: two seconds by itself, then it is killed.
const FAREWELL: Duration = Duration::from_secs(10);
/// What the engine gets to tell the exit code after the output ended.
const EXIT_CODE_TIMEOUT: Duration = Duration::from_secs(5);
/// What the engine gets to tell that a container has ended, after what ran in it has.
const END_TIMEOUT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(100);
/// How the engine begins to tell that it could not start a program.
const NOT_STARTED: &str = "OCI runtime exec failed";

#[async_trait]
impl Exec for DockerLifecycle {
    async fn exec(&self, runtime: &RuntimeRef, command: &[String], limit: Duration) -> Result<Executed> {
        let engine = self.hosts.of(&runtime.runtime_id).await?;
        let machine = Machine::new(&engine, runtime.clone());
        let found = machine.find().await?.ok_or_else(|| machine.missing())?;
        if container::status(&found) != RunStatus::Running {
            return Err(machine.does_not_run(&found));
        }
        let id = found.id.as_deref().unwrap_or(machine.name());
        let done = run(&engine, id, command, limit, Some(HOME)).await;
        let is_sure = done.as_ref().is_ok_and(|done| done.timed_out || done.exit_code != KILLED);
        if !is_sure && has_ended(&machine, &found).await {
            return Err(errors::ended_meanwhile(("container", machine.name())));
        }
        done
    }
}

/// Whether the container does not run any more, or has been started again since.
async fn has_ended(machine: &Machine<'_>, before: &ContainerInspectResponse) -> bool {
    let since = |found: &ContainerInspectResponse| {
        let state = found.state.as_ref()?;
        (state.running == Some(true)).then(|| state.started_at.clone())
    };
    let deadline = Instant::now() + END_TIMEOUT;
    loop {
        match machine.find().await {
            Ok(Some(found)) if since(&found).is_some() && since(&found) == since(before) => {}
            Ok(_) => return true,
            Err(error) => {
                tracing::debug!(%error, "whether the container of a command still runs is not known");
                return false;
            }
        }
        if Instant::now() > deadline {
            return false;
        }
        sleep(PAUSE).await;
    }
}

/// What a command and its engine have said.
struct Said {
    stdout: Captured,
    stderr: Complaints,
    engine: Captured,
}

impl Said {
    async fn read(
        &mut self,
        mut output: impl Stream<Item = std::result::Result<LogOutput, Error>> + Unpin,
    ) -> Result<()> {
        while let Some(chunk) = output.next().await {
            match chunk.map_err(|error| classify("read the command's output", &error))? {
                LogOutput::StdErr { message } => self.stderr.add(&message),
                LogOutput::StdOut { message } => self.stdout.add(&message),
                // There is no terminal: it is the engine that speaks.
                LogOutput::Console { message } => self.engine.add(&message),
                LogOutput::StdIn { .. } => {}
            }
        }
        Ok(())
    }
}

/// Also for containers that are no instances.
pub(crate) async fn run(
    engine: &Engine,
    container: &str,
    command: &[String],
    limit: Duration,
    folder: Option<&str>,
) -> Result<Executed> {
    let docker = engine.docker().await?;
    let program = command.first().map_or("", String::as_str);
    let wrapped = Wrapped::held(command, limit + FAREWELL);
    let mut said =
        Said { stdout: Captured::default(), stderr: wrapped.complaints(), engine: Captured::default() };
    let body = ExecConfig {
        cmd: Some(wrapped.words),
        working_dir: folder.map(str::to_owned),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..Default::default()
    };
    let made = engine.ask("prepare the command", docker.create_exec(container, body)).await?;
    let started = engine.ask("start the command", docker.start_exec(&made.id, None)).await;
    let started = started.map_err(|failure| refused(program, failure.into()))?;
    let StartExecResults::Attached { mut output, mut input } = started else {
        return Err(ProviderError::unknown(ErrorCode::ProviderFailed, "Docker gave no output stream"));
    };
    let mut timed_out = false;
    match timeout(limit, said.read(&mut output)).await {
        Ok(read) => read?,
        Err(_) => {
            timed_out = true;
            let last = async {
                // What cannot be said any more has ended.
                let _ = input.shutdown().await;
                said.read(&mut output).await?;
                // The engine may end the streams with the input: that the command has ended is told by itself alone.
                exit_code(engine, &made.id).await
            };
            timeout(FAREWELL, last).await.unwrap_or_else(|_| Err(too_long(program, limit)))?;
        }
    }
    let Said { stdout, stderr, engine: words } = said;
    let stderr = match stderr.finish() {
        Ok(stderr) => stderr,
        Err(_) if timed_out => return Err(too_long(program, limit)),
        Err(why) => {
            let words = String::from_utf8_lossy(&words).trim().to_owned();
            return Err(errors::not_begun(program, if words.is_empty() { &why } else { &words }));
        }
    };
    if timed_out {
        return Ok(Executed::late(stdout, stderr));
    }
    let exit_code = timeout(EXIT_CODE_TIMEOUT, exit_code(engine, &made.id)).await;
    let exit_code = exit_code.unwrap_or_else(|_| Err(too_long(program, limit)))?;
    Ok(Executed::new(exit_code, stdout, stderr))
}

/// The engine ends the streams a moment before it knows how the program has ended.
async fn exit_code(engine: &Engine, exec: &str) -> Result<i32> {
    let docker = engine.docker().await?;
    loop {
        let inspected = engine.ask("read the command's exit code", docker.inspect_exec(exec)).await;
        let inspected =
            inspected.map_err(|failure| ProviderError { outcome: Outcome::Unknown, ..failure.into() })?;
        if let Some(code) = inspected.exit_code.and_then(|code| i32::try_from(code).ok()) {
            return Ok(code);
        }
        sleep(PAUSE).await;
    }
}

fn refused(program: &str, error: ProviderError) -> ProviderError {
    if error.message.contains(NOT_STARTED) { errors::not_begun(program, &error.message) } else { error }
}

fn too_long(program: &str, limit: Duration) -> ProviderError {
    let message =
        format!("{program} did not end within {limit:?}, and Docker has not told that it was ended");
    ProviderError::unknown(ErrorCode::ProviderTimeout, message).with_action("Give it more time.")
}
