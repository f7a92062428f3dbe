//! Start and resume: run what exists, make again what is gone, then wait until it answers as users need it.

use std::sync::Arc;
use std::time::Duration;

use contracts::identity::HealthStatus;
use contracts::operation::{Phase, Severity};
use contracts::workspace::{Desired, Endpoint, Observed};
use contracts::{ErrorCode, Problem};
use provider_api::{ProviderError, RunStatus};
use tokio::time::Instant;

use super::apply::apply;
use super::run::{Run, canceled};
use super::steady::steady;
use super::stop::{self, GRACE};
use super::{home, shared, snapshots};
use crate::engine::provider_problem;
use crate::lifecycle::state::Event;
use crate::readiness::{self, Target};
use crate::store::WorkspaceRow;

/// How long a provider may take to start or stop one instance.
pub const PROVIDER_LIMIT: Duration = Duration::from_secs(180);

pub async fn run(run: &Arc<Run>) -> Result<(), Problem> {
    let row = run.row().await?;
    // The route of one that runs stays while nobody knows better.
    let status = status(run, &row).await?;
    let is_behind = row.applied < row.generation;
    if status == RunStatus::Running
        && row.observed == Observed::Ready
        && !is_behind
        && answers(run, &row).await
    {
        run.reach(Phase::Booted).await?;
        return run.reach(Phase::Ready).await;
    }
    // What is gone is made again, and runs no sooner than that.
    let event = if status == RunStatus::Absent { Event::CreateStarted } else { Event::StartStarted };
    run.observe(event, None).await?;
    if status == RunStatus::Running && has_given_up(run, &row).await? {
        run.say(Severity::Info, "Its last boot failed, so it boots anew.");
        limited("stop", run.provider(&row)?.lifecycle().stop(&run.runtime(), GRACE)).await?;
    }
    if status == RunStatus::Absent || is_behind {
        home::must_be_there(run, &row).await?;
        // Someone removed it, or its create or an update never came so far: the stack says how to make it.
        let text = match status {
            RunStatus::Absent => "The instance is gone; making it again from its stack.",
            _ => "An update did not come to its end; going on with it.",
        };
        run.say(Severity::Warning, text);
        let stack = run.compile(&row)?;
        shared::ensure(run, &row).await?;
        apply(run, &stack, true).await.map_err(|problem| snapshots::without_source(&row, problem))?;
        run.applied(&row, Some(Event::Applied)).await?;
    }
    boot(run, &row).await
}

/// What was just made is as its user wants it: what was gone altogether has begun to run.
pub async fn as_desired(run: &Arc<Run>, row: &WorkspaceRow) -> Result<(), Problem> {
    if row.desired == Desired::Running {
        return self::run(run).await;
    }
    match status(run, row).await? {
        RunStatus::Running | RunStatus::Pending { .. } => stop::run(run).await,
        _ => Ok(()),
    }
}

/// Ends what runs, and boots it anew.
pub async fn anew(run: &Arc<Run>) -> Result<(), Problem> {
    let row = run.row().await?;
    run.observe(Event::StopStarted, None).await?;
    limited("stop", run.provider(&row)?.lifecycle().stop(&run.runtime(), GRACE)).await?;
    run.observe(Event::StopFinished, None).await?;
    self::run(run).await
}

/// What is there, as soon as the provider can tell.
pub async fn status(run: &Run, row: &WorkspaceRow) -> Result<RunStatus, Problem> {
    let (provider, runtime) = (run.provider(row)?, run.runtime());
    let (lifecycle, deadline) = (provider.lifecycle(), Instant::now() + PROVIDER_LIMIT);
    cancellable(run, steady(deadline, || lifecycle.status(&runtime))).await
}

async fn answers(run: &Run, row: &WorkspaceRow) -> bool {
    let Some(endpoint) = &row.endpoint else { return false };
    readiness::answers(&run.parts.probe, endpoint, &row.runtime_id).await
}

/// An instance whose boot has failed says so until it ends: waiting for it tries nothing again.
async fn has_given_up(run: &Run, row: &WorkspaceRow) -> Result<bool, Problem> {
    let Ok(endpoint) = run.provider(row)?.lifecycle().endpoint(&run.runtime()).await else {
        return Ok(false);
    };
    let health = readiness::probe(&run.parts.probe, &endpoint).await;
    Ok(health.is_some_and(|health| health.status == HealthStatus::Failed))
}

/// From "it exists" to "it answers". The route is published with the state `ready`, in one commit.
pub async fn boot(run: &Arc<Run>, row: &WorkspaceRow) -> Result<(), Problem> {
    let provider = run.provider(row)?;
    let (lifecycle, runtime) = (provider.lifecycle(), run.runtime());
    match status(run, row).await? {
        RunStatus::Running | RunStatus::Pending { .. } => {}
        RunStatus::Suspended => limited("resume", lifecycle.resume(&runtime)).await?,
        RunStatus::Stopped { .. } | RunStatus::Absent => limited("start", lifecycle.start(&runtime)).await?,
    }
    let tell = |reason: &str| run.say(Severity::Info, format!("The instance cannot run yet: {reason}."));
    let timeout = run.parts.ready_timeout;
    let answers = |endpoint: &Endpoint| drop(run.failed_at.set(endpoint.clone()));
    let target =
        Target { provider: provider.as_ref(), runtime: &runtime, timeout, tell: &tell, answers: &answers };
    let booted = readiness::booted(&run.parts.probe, &target);
    run.only_waits();
    cancellable(run, booted).await?;
    run.reach(Phase::Booted).await?;
    let endpoint = cancellable(run, readiness::ready(&run.parts.probe, &target)).await?;
    run.step(Some(Event::BecameReady), Some(Phase::Ready), Some(endpoint)).await
}

/// Providers end their calls by themselves; this holds when one does not.
pub async fn limited<T>(
    what: &str,
    call: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, Problem> {
    match tokio::time::timeout(PROVIDER_LIMIT, call).await {
        Ok(result) => result.map_err(provider_problem),
        Err(_) => {
            let detail = format!("The provider did not end the {what} within {PROVIDER_LIMIT:?}.");
            Err(Problem::new(ErrorCode::ProviderTimeout, detail).with_action("Try again; the data is kept."))
        }
    }
}

pub async fn cancellable<T>(run: &Run, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    tokio::select! {
        result = work => result,
        () = run.ending.token().cancelled() => Err(canceled()),
    }
}
