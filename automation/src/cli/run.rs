//! What one run of the CLI needs around it: the program and the event stream during, a typed result after.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::process::{self, Exit, Invocation};
use super::{Cli, events, turn};
use crate::argv;
use crate::classify::{Ended, Failures, classify};
use crate::deadline;
use crate::engine::{Command, Operation, OperationResult, Place};
use crate::environment;
use crate::error::{Error, Result};
use crate::event::EngineEvent;
use crate::gather::Gathered;
use crate::language;

/// A command without events: `stack init`, `stack export`, ... Returns what it printed.
pub(super) async fn plain(cli: &Cli, place: &Place, command: &Command) -> Result<String> {
    let args = arguments(command);
    let invocation = Invocation {
        path: cli.path(),
        args: &args,
        directory: &place.directory,
        env: cli.env(place),
        input: command.input.as_deref(),
        output: None,
        locks: command.locks.as_deref().map(|stack| (place, stack)),
    };
    let _slot = cli.slot().await;
    let _turn = turn::of_command(place, command).await;
    let exit = limited(invocation, &CancellationToken::new(), place.timeout).await?;
    if exit.success() {
        return Ok(exit.stdout);
    }
    let name = command.name();
    Err(classify(ended(command.about(), &name, &exit, None), Failures::default()))
}

/// Nobody is there to be asked.
fn arguments(command: &Command) -> Vec<String> {
    let mut args = argv::of_command(command);
    args.insert(command.words.len(), "--non-interactive".to_owned());
    args
}

/// An engine operation with its event stream; `command` is that of [`argv::of_cli_operation`].
pub(super) async fn engine(
    cli: &Cli,
    place: &Place,
    operation: &Operation<'_>,
    command: &Command,
) -> Result<OperationResult> {
    let options = operation.options;
    let _slot = tokio::select! {
        slot = cli.slot() => slot,
        () = options.cancel.cancelled() => return Err(Error::Canceled),
    };
    let host = language::Server::of(&operation.program).await?;
    let mut sink = events::Server::start().await?;
    let client = host.as_ref().map(|host| host.address().to_string());
    let connected = command.clone().option("event-log", Some(sink.url())).option("client", client);
    let args = arguments(&connected);
    let mut env = cli.env(place);
    env.extend(environment::of_run(options));
    let invocation = Invocation {
        path: cli.path(),
        args: &args,
        directory: &place.directory,
        env,
        input: None,
        output: options.output.as_ref(),
        locks: (!operation.kind.is_preview()).then_some((place, operation.stack)),
    };
    let mut settings = tokio::select! {
        turn = turn::of_stack(place, operation.stack) => Some(turn),
        () = options.cancel.cancelled() => return Err(Error::Canceled),
    };
    let read = deadline::after(Some(turn::AT_MOST));
    let mut gathered = Gathered::default();
    let mut failures = Failures::default();
    let mut take = |event: EngineEvent| {
        failures.observe(&event);
        gathered.take(event, options);
    };
    let exit = {
        let run = limited(invocation, &options.cancel, options.timeout);
        tokio::pin!(run);
        loop {
            tokio::select! {
                exit = &mut run => break exit?,
                Some(event) = sink.events.recv() => {
                    settings = None;
                    take(event);
                }
                () = tokio::time::sleep_until(read), if settings.is_some() => settings = None,
            }
        }
    };
    // Everything the CLI sent is in the queue once its process has ended.
    while let Ok(event) = sink.events.try_recv() {
        take(event);
    }
    let observed = host.map(|host| host.observed()).unwrap_or_default();
    if exit.success() {
        return Ok(gathered.finish(observed.outputs, exit.stdout, exit.stderr));
    }
    let name = operation.kind.command();
    Err(classify(ended(operation.stack, name, &exit, observed.error), failures))
}

async fn limited(
    invocation: Invocation<'_>,
    cancel: &CancellationToken,
    timeout: Option<Duration>,
) -> Result<Exit> {
    let cancel = cancel.child_token();
    let run = process::run(invocation, &cancel);
    tokio::pin!(run);
    tokio::select! {
        exit = &mut run => exit,
        () = tokio::time::sleep_until(deadline::after(timeout)) => {
            cancel.cancel();
            // The process is ended in order, with its own grace period, before the error is told. What came
            // to its end after all is told as it is.
            run.await.ok().filter(Exit::success).ok_or(Error::TimedOut { timeout: timeout.unwrap_or_default() })
        }
    }
}

fn ended<'a>(stack: &'a str, command: &'a str, exit: &'a Exit, program_error: Option<String>) -> Ended<'a> {
    Ended {
        stack,
        command,
        code: exit.code(),
        signal: exit.signal(),
        stdout: &exit.stdout,
        stderr: &exit.stderr,
        canceled: exit.canceled,
        program_error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a CLI that a cancellation reaches: `script` runs when it comes.
    async fn after_the_timeout(script: &str) -> Result<Exit> {
        let script = format!("trap '{script}' INT; touch began; while true; do sleep 0.02; done");
        // A shell cannot trap what was ignored when it began, as in jobs that run in the background.
        let args = ["--default-signal=INT", "sh", "-c", &script].map(str::to_owned);
        let folder = tempfile::tempdir().unwrap();
        let invocation = Invocation {
            path: std::path::Path::new("/usr/bin/env"),
            args: &args,
            directory: folder.path(),
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            input: None,
            output: None,
            locks: None,
        };
        limited(invocation, &CancellationToken::new(), Some(Duration::from_millis(500))).await
    }

    #[tokio::test]
    async fn a_success_within_the_grace_is_a_success() {
        assert_eq!(after_the_timeout("echo done; exit 0").await.unwrap().stdout, "done\n");
        let error = after_the_timeout("exit 255").await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    }
}
