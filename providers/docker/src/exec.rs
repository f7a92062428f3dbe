//! A program inside a running container, as the instance's user.

use std::time::Duration;

use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use contracts::ErrorCode;
use contracts::boot::HOME;
use futures_util::StreamExt;
use provider_api::{Captured, Exec, Executed, ProviderError, Result, RunStatus, RuntimeRef};

use crate::container::{self, Machine};
use crate::engine::Engine;
use crate::failure::classify;
use crate::lifecycle::DockerLifecycle;

/// What the engine gets to tell the exit code after the output ended.
const EXIT_CODE_TIMEOUT: Duration = Duration::from_secs(5);

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
        let run = run(&engine, id, command, limit, Some(HOME));
        tokio::time::timeout(limit + EXIT_CODE_TIMEOUT, run)
            .await
            .unwrap_or_else(|_| Err(too_long(command, limit)))
    }
}

/// Docker cannot end what it runs for somebody, so a `timeout` inside does.
pub(crate) async fn run(
    engine: &Engine,
    container: &str,
    command: &[String],
    limit: Duration,
    folder: Option<&str>,
) -> Result<Executed> {
    let docker = engine.docker().await?;
    let seconds = limit.as_secs_f64().ceil().max(1.0) as u64;
    let mut words = vec!["timeout".to_owned(), "-s".to_owned(), "KILL".to_owned(), seconds.to_string()];
    words.extend(command.iter().cloned());
    let body = ExecConfig {
        cmd: Some(words),
        working_dir: folder.map(str::to_owned),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..Default::default()
    };
    let made = engine.ask("prepare the command", docker.create_exec(container, body)).await?;
    let started = engine.ask("start the command", docker.start_exec(&made.id, None)).await?;
    let StartExecResults::Attached { mut output, .. } = started else {
        return Err(ProviderError::unknown(ErrorCode::ProviderFailed, "Docker gave no output stream"));
    };
    let (mut stdout, mut stderr) = (Captured::default(), Captured::default());
    let began = tokio::time::Instant::now();
    while let Some(chunk) = output.next().await {
        let (stream, message) = match chunk.map_err(|error| classify("read the command's output", &error))? {
            LogOutput::StdErr { message } => (&mut stderr, message),
            LogOutput::StdOut { message } | LogOutput::Console { message } => (&mut stdout, message),
            LogOutput::StdIn { .. } => continue,
        };
        stream.add(&message);
    }
    let inspected = engine.ask("read the command's exit code", docker.inspect_exec(&made.id)).await?;
    match inspected.exit_code.and_then(|code| i32::try_from(code).ok()) {
        // `timeout` ends itself with the signal that it sends.
        Some(137) if began.elapsed() >= limit => Err(too_long(command, limit)),
        Some(exit_code) => Ok(Executed { exit_code, stdout, stderr }),
        None => Err(too_long(command, limit)),
    }
}

fn too_long(command: &[String], limit: Duration) -> ProviderError {
    let program = command.first().map_or("", String::as_str);
    let message = format!("{program} did not end within {limit:?} and was ended; what it did is not known");
    ProviderError::unknown(ErrorCode::ProviderTimeout, message).with_action("Give it more time.")
}
