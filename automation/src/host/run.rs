//! What one run in the host needs around it: the program and the events during, a typed result after.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::fault::Failed;
use super::pool::Pool;
use super::process::Environment;
use super::request::{Outcome, Request, send};
use super::unsettled::StackKey;
use crate::classify::Failures;
use crate::deadline;
use crate::engine::{Command, Operation, OperationResult, Place};
use crate::error::Result;
use crate::gather::Gathered;
use crate::language;
use crate::retry::until_unlocked;

/// A recovery is a look at files.
const RECOVERY: Duration = Duration::from_secs(60);

/// A command without events: `stack init`, `stack export`, ... Returns what it printed.
pub(super) async fn command(
    pool: &Arc<Pool>,
    env: &Environment,
    place: &Place,
    command: &Command,
) -> Result<String> {
    let never = CancellationToken::new();
    // Also when nothing is written: what a recovery is about to change is not worth reading.
    pool.recoveries.settled(&StackKey::new(place, command.about()), &never).await?;
    let request = Request {
        place,
        command,
        program: None,
        cancel: &never,
        timeout: place.timeout,
        output: None,
        is_operation: false,
    };
    simple(pool, env, &request).await
}

/// Puts right what a process that died has left of a stack's state.
pub(super) async fn recover(pool: &Arc<Pool>, env: &Environment, place: &Place, stack: &str) -> Result<()> {
    let request = Request {
        place,
        // A recovery that kills its host must not be begun again and again, so it does not say what it locks.
        command: &Command::new(["recover"]).stack(stack),
        program: None,
        cancel: &CancellationToken::new(),
        timeout: Some(RECOVERY),
        output: None,
        is_operation: false,
    };
    simple(pool, env, &request).await.map(drop)
}

async fn simple(pool: &Arc<Pool>, env: &Environment, request: &Request<'_>) -> Result<String> {
    let (stack, name) = (request.command.about(), request.command.name());
    let mut failures = Failures::default();
    let outcome = send(pool, env, request, |event| failures.observe(&event)).await?;
    log_warnings(stack, &outcome);
    if outcome.ended.code == 0 {
        return Ok(outcome.stdout);
    }
    Err(Failed { stack, command: &name, outcome, failures, program_error: None }.into_error())
}

/// The host tells on its error output what it had to put right, such as a damaged state; whoever operates it wants to
/// know, also when the run ended well.
fn log_warnings(stack: &str, outcome: &Outcome) {
    for warning in outcome.stderr.lines().filter_map(|line| line.strip_prefix("warning: ")) {
        tracing::warn!(stack, "{warning}");
    }
}

/// An engine operation; `command` is that of [`crate::argv::of_operation`].
pub(super) async fn operation(
    pool: &Arc<Pool>,
    env: &Environment,
    place: &Place,
    operation: &Operation<'_>,
    command: &Command,
) -> Result<OperationResult> {
    let options = operation.options;
    let key = StackKey::new(place, operation.stack);
    pool.recoveries.settled(&key, &options.cancel).await?;
    let program = language::Server::of(&operation.program).await?;
    let request = Request {
        place,
        command,
        program: program.as_ref().map(language::Server::address),
        cancel: &options.cancel,
        timeout: options.timeout,
        output: options.output.as_ref(),
        is_operation: true,
    };
    let (mut gathered, mut failures) = (Gathered::default(), Failures::default());
    let outcome = send(pool, env, &request, |event| {
        failures.observe(&event);
        gathered.take(event, options);
    })
    .await?;
    log_warnings(operation.stack, &outcome);
    let observed = program.map(|program| program.observed()).unwrap_or_default();
    if outcome.ended.code == 0 {
        let Outcome { stdout, stderr, .. } = outcome;
        return Ok(gathered.finish(observed.outputs, stdout, stderr));
    }
    let (stack, command) = (operation.stack, operation.kind.command());
    Err(Failed { stack, command, outcome, failures, program_error: observed.error }.into_error())
}

/// Runs something until nobody else changes the stack. What dead processes leave, the host puts right.
pub(super) async fn waiting<T, F>(
    timeout: Duration,
    cancel: &CancellationToken,
    run: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    until_unlocked(deadline::after(Some(timeout)), cancel, || std::future::ready(Ok(())), run).await
}
