//! One CLI run with its event stream: the shared middle of up, preview and destroy.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use crate::classify::{Ended, Failures, classify};
use crate::command::{self, Exit, Invocation};
use crate::error::{Error, Result};
use crate::event::{EngineEvent, EventKind, SummaryEvent};
use crate::language;
use crate::program::{Outputs, Program};
use crate::stack::{Options, Stack};
use crate::{event_server, lock, side_files, workspace};

pub(crate) struct Finished {
    pub summary: Option<SummaryEvent>,
    /// What an inline program returned.
    pub outputs: Option<Outputs>,
    pub events: Vec<EngineEvent>,
}

/// Runs something that takes the stack's lock. Locks of dead processes are removed before, those of
/// living ones are waited for as long as the options say: also when one appears in between.
pub(crate) async fn locking<T, F>(stack: &Stack, options: &Options, mut run: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + options.lock_patience;
    loop {
        if let workspace::Backend::Folder(folder) = &stack.workspace.backend {
            let locks =
                folder.join(".pulumi/locks/organization").join(&stack.workspace.project).join(&stack.name);
            lock::settle(&locks, &stack.name, deadline).await?;
            side_files::heal(folder, &stack.workspace.project, &stack.name);
        }
        match run().await {
            Err(Error::ConcurrentUpdate { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            result => return result,
        }
    }
}

/// A plain run without events: `stack init`, `stack export`, ...
pub(crate) async fn plain(stack: &Stack, command: &str, args: &[&str], options: &Options) -> Result<Exit> {
    let mut argv: Vec<OsString> = args.iter().map(Into::into).collect();
    argv.push("--non-interactive".into());
    let exit = invoke(stack, argv, options).await?;
    if exit.success() {
        return Ok(exit);
    }
    Err(classify(ended(stack, command, &exit, None), Failures::default()))
}

/// An engine operation. `program` is hosted for the run when there is one; else the project's own runs.
pub(crate) async fn engine(
    stack: &Stack,
    command: &str,
    args: &[&str],
    program: Option<Arc<dyn Program>>,
    options: &Options,
) -> Result<Finished> {
    let host = match program {
        Some(program) => Some(language::Server::start(program).await?),
        None => None,
    };
    let mut sink = event_server::Server::start().await?;
    let mut argv: Vec<OsString> = vec![command.into()];
    argv.extend(args.iter().map(Into::into));
    for flag in ["--non-interactive", "--skip-plugin-pre-install", "--suppress-progress", "--color=never"] {
        argv.push(flag.into());
    }
    argv.push(format!("--stack={}", stack.name).into());
    argv.push(format!("--event-log={}", sink.url()).into());
    match &host {
        Some(host) => {
            argv.push(format!("--client={}", host.address()).into());
            argv.push("--exec-kind=auto.inline".into());
        }
        None => argv.push("--exec-kind=auto.local".into()),
    }
    if options.refresh {
        argv.push("--refresh".into());
    }
    if let Some(parallel) = options.parallel {
        argv.push(format!("--parallel={parallel}").into());
    }
    let mut gathered = Gathered::default();
    let exit = {
        let run = invoke(stack, argv, options);
        tokio::pin!(run);
        loop {
            tokio::select! {
                exit = &mut run => break exit?,
                Some(event) = sink.events.recv() => gathered.take(event, options),
            }
        }
    };
    // Everything the CLI sent is in the queue once its process has ended.
    drain(&mut sink.events, &mut gathered, options);
    let observed = host.map(|host| host.observed()).unwrap_or_default();
    if exit.success() {
        return Ok(Finished {
            summary: gathered.summary,
            outputs: observed.outputs,
            events: gathered.events,
        });
    }
    Err(classify(ended(stack, command, &exit, observed.error), gathered.failures))
}

#[derive(Default)]
struct Gathered {
    failures: Failures,
    summary: Option<SummaryEvent>,
    events: Vec<EngineEvent>,
}

impl Gathered {
    fn take(&mut self, event: EngineEvent, options: &Options) {
        self.failures.observe(&event);
        if let EventKind::Summary(summary) = &event.kind {
            self.summary = Some(summary.clone());
        }
        if let Some(listener) = &options.events {
            // A listener that went away does not matter to the operation.
            let _ = listener.send(event.clone());
        }
        self.events.push(event);
    }
}

fn drain(events: &mut UnboundedReceiver<EngineEvent>, gathered: &mut Gathered, options: &Options) {
    while let Ok(event) = events.try_recv() {
        gathered.take(event, options);
    }
}

async fn invoke(stack: &Stack, args: Vec<OsString>, options: &Options) -> Result<Exit> {
    let env = stack.workspace.env();
    let invocation =
        Invocation { cli: &stack.workspace.cli, args, directory: &stack.workspace.directory, env: &env };
    let cancel = options.cancel.child_token();
    let run = command::run(invocation, &cancel);
    tokio::pin!(run);
    tokio::select! {
        exit = &mut run => exit,
        () = tokio::time::sleep(options.limit) => {
            cancel.cancel();
            // The process is ended in order, with its own grace period, before the error is told.
            let _ = run.await;
            Err(Error::TimedOut { limit: options.limit })
        }
    }
}

fn ended<'a>(stack: &'a Stack, command: &'a str, exit: &'a Exit, program_error: Option<String>) -> Ended<'a> {
    Ended {
        stack: &stack.name,
        command,
        code: exit.code(),
        signal: exit.signal(),
        stdout: &exit.stdout,
        stderr: &exit.stderr,
        canceled: exit.canceled,
        program_error,
    }
}
