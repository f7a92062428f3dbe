//! What one run of the CLI needs around it: locks before, the program and the event stream during, a
//! typed result after.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::classify::{Ended, Failures, classify};
use super::process::{self, Exit, Invocation};
use super::{Cli, NO_DOWNLOADS, argv, events, lock, side_files};
use crate::engine::{Backend, Command, Finished, Kind, Operation, Place};
use crate::error::{Error, Result};
use crate::event::EngineEvent;
use crate::gather::Gathered;
use crate::language;
use crate::source::Source;

/// Runs something that takes the stack's lock. Locks of dead processes are removed before, those of
/// living ones are waited for: also when one appears in between.
pub(super) async fn locking<T, F>(
    place: &Place,
    stack: &str,
    patience: Duration,
    cancel: &CancellationToken,
    mut run: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + patience;
    loop {
        if let Some((folder, locks)) = locks_of(place, stack) {
            tokio::select! {
                settled = lock::settle(&locks, stack, deadline) => settled?,
                () = cancel.cancelled() => return Err(Error::Canceled),
            }
            side_files::heal(&folder, &place.project, stack);
        }
        match run().await {
            Err(Error::ConcurrentUpdate { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            result => return result,
        }
    }
}

/// The backend's folder and that of the stack's lock files, where the backend is a folder.
fn locks_of(place: &Place, stack: &str) -> Option<(PathBuf, PathBuf)> {
    let Backend::Folder(folder) = &place.backend else { return None };
    let stack = stack.rsplit('/').next().unwrap_or(stack);
    let locks = folder.join(".pulumi/locks/organization").join(&place.project).join(stack);
    Some((folder.clone(), locks))
}

/// A command without events: `stack init`, `stack export`, ... Returns what it printed.
pub(super) async fn plain(cli: &Cli, place: &Place, command: &Command) -> Result<String> {
    let mut args = command.args.clone();
    // What follows a `--` is data.
    let end = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    args.insert(end, "--non-interactive".to_owned());
    let invocation = Invocation {
        path: cli.path(),
        args: &args,
        directory: &place.directory,
        env: cli.env(place),
        input: command.input.as_deref(),
        output: None,
    };
    let _turn = cli.turn().await;
    let exit = limited(invocation, &CancellationToken::new(), place.limit).await?;
    if exit.success() {
        return Ok(exit.stdout);
    }
    let name = command.name();
    Err(classify(ended(stack_of(command), &name, &exit, None), Failures::default()))
}

/// The stack that a command is about, for its errors.
fn stack_of(command: &Command) -> &str {
    let named = command.args.iter().position(|arg| arg == "--stack").and_then(|at| command.args.get(at + 1));
    named.or(command.locks.as_ref()).map(String::as_str).unwrap_or_default()
}

/// An engine operation with its event stream.
pub(super) async fn engine(cli: &Cli, place: &Place, operation: &Operation<'_>) -> Result<Finished> {
    let options = operation.options;
    let _turn = tokio::select! {
        turn = cli.turn() => turn,
        () = options.cancel.cancelled() => return Err(Error::Canceled),
    };
    let host = match &operation.program {
        Source::Project => None,
        program => Some(language::Server::start(program.clone()).await?),
    };
    let mut sink = events::Server::start().await?;
    let mut args = argv::arguments(operation)?;
    let mut connections = vec![format!("--event-log={}", sink.url())];
    if !options.install_plugins && !matches!(operation.kind, Kind::Import | Kind::PreviewImport) {
        connections.push("--skip-plugin-pre-install".to_owned());
    }
    match &host {
        Some(host) => {
            connections.push(format!("--client={}", host.address()));
            connections.push("--exec-kind=auto.inline".to_owned());
        }
        None => connections.push("--exec-kind=auto.local".to_owned()),
    }
    args.splice(1..1, connections);
    let mut env = cli.env(place);
    if options.install_plugins {
        // Else the engine would only look for them.
        env.push((NO_DOWNLOADS.into(), "false".into()));
    }
    env.extend(options.debug.env.iter().map(|(key, value)| (key.into(), value.into())));
    if options.remote.is_some() {
        env.push(("PULUMI_EXPERIMENTAL".into(), "true".into()));
    }
    let invocation = Invocation {
        path: cli.path(),
        args: &args,
        directory: &place.directory,
        env,
        input: None,
        output: options.output.as_ref(),
    };
    let mut gathered = Gathered::default();
    let mut failures = Failures::default();
    let mut take = |event: EngineEvent| {
        failures.observe(&event);
        gathered.take(event, options);
    };
    let exit = {
        let run = limited(invocation, &options.cancel, options.limit);
        tokio::pin!(run);
        loop {
            tokio::select! {
                exit = &mut run => break exit?,
                Some(event) = sink.events.recv() => take(event),
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

async fn limited(invocation: Invocation<'_>, cancel: &CancellationToken, limit: Duration) -> Result<Exit> {
    let cancel = cancel.child_token();
    let run = process::run(invocation, &cancel);
    tokio::pin!(run);
    tokio::select! {
        exit = &mut run => exit,
        () = tokio::time::sleep(limit) => {
            cancel.cancel();
            // The process is ended in order, with its own grace period, before the error is told.
            let _ = run.await;
            Err(Error::TimedOut { limit })
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
