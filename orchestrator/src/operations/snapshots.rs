//! Snapshots of homes: take, bring back, remove, and what a fork waits for. Each step finds what an interrupted run has left: a
//! take by the snapshot's id, a rewind by the snapshot that it takes first.

use std::sync::Arc;
use std::time::Duration;

use contracts::operation::{OperationState, Phase, Severity};
use contracts::snapshot::in_words;
use contracts::workspace::Desired;
use contracts::{ErrorCode, Problem};
use provider_api::{Copied, RunStatus, Snapshots, Take, Told};

use super::run::{Run, canceled};
use super::start::{self, cancellable};
use super::{home, stop};
use crate::engine::provider_problem;
use crate::store::WorkspaceRow;

/// How often a fork looks whether its snapshot is taken.
const LOOK: Duration = Duration::from_millis(300);

pub async fn take(run: &Arc<Run>) -> Result<(), Problem> {
    let (row, work) = (run.row().await?, run.snapshot()?);
    let taken = taken(run, &row, &work.id, work.name.clone()).await;
    // One that an earlier process has left standing still, too.
    goes_on(run, &row).await?;
    taken
}

async fn taken(run: &Arc<Run>, row: &WorkspaceRow, id: &str, name: Option<String>) -> Result<(), Problem> {
    let provider = run.provider(row)?;
    if !home::is_there(run, provider.as_ref(), &run.compile(row)?).await? {
        return Err(home::gone(row));
    }
    let (snapshots, runtime) = (ability(run, row)?, run.runtime());
    let take = Take { key: id.to_owned(), name, told: told(run) };
    let take = async { snapshots.take(&runtime, &take).await.map_err(provider_problem) };
    let taken = cancellable(run, take).await?;
    let size = taken.size.map(|size| format!(", {}", in_words(size))).unwrap_or_default();
    run.say(Severity::Info, format!("Took the snapshot {}{size}.", taken.id));
    Ok(())
}

/// What is to run and stands still goes on.
async fn goes_on(run: &Arc<Run>, row: &WorkspaceRow) -> Result<(), Problem> {
    let is_still = start::status(run, row).await? == RunStatus::Suspended;
    if is_still && row.desired == Desired::Running { start::run(run).await } else { Ok(()) }
}

/// Brings the files of a snapshot back, after a snapshot of what is there.
pub async fn rewind(run: &Arc<Run>) -> Result<(), Problem> {
    let (row, work) = (run.row().await?, run.snapshot()?);
    if let Some(safety) = &work.safety {
        let before = format!("before the restore of {}", work.name.as_deref().unwrap_or(&work.id));
        // The copy of what is there was made before, where an earlier process has come so far.
        let room = if run.has_reached(Phase::Planned) { Ok(()) } else { has_room(run, &row, &work.id).await };
        let taken = match room {
            Ok(()) => taken(run, &row, safety, Some(before)).await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = taken {
            goes_on(run, &row).await?;
            return Err(problem);
        }
    }
    run.reach(Phase::Planned).await?;
    stop::run(run).await?;
    let (snapshots, runtime, told) = (ability(run, &row)?, run.runtime(), told(run));
    let restore = async { snapshots.restore(&runtime, &work.id, &told).await.map_err(provider_problem) };
    let mut restored = cancellable(run, restore).await;
    if let (Err(problem), Some(safety)) = (&mut restored, &work.safety) {
        problem.detail =
            format!("{} What was there before is kept as the snapshot {safety}.", problem.detail);
    }
    if restored.is_ok() {
        run.say(Severity::Info, format!("Its files are those of the snapshot {}.", work.id));
        run.reach(Phase::Applied).await?;
    }
    // With its files as they were, where they could not be brought back.
    let runs = match run.check_cancelled() {
        Ok(()) => start::as_desired(run, &run.row().await?).await,
        Err(canceled) => Err(canceled),
    };
    restored.and(runs)
}

/// Passes where a restore finds room, while what runs goes on.
async fn has_room(run: &Arc<Run>, row: &WorkspaceRow, id: &str) -> Result<(), Problem> {
    let (snapshots, runtime) = (ability(run, row)?, run.runtime());
    cancellable(run, async { snapshots.has_room(&runtime, id).await.map_err(provider_problem) }).await
}

/// Removes it, or what is there of it.
pub async fn discard(run: &Arc<Run>) -> Result<(), Problem> {
    let (row, work) = (run.row().await?, run.snapshot()?);
    let (snapshots, runtime) = (ability(run, &row)?, run.runtime());
    cancellable(run, async { snapshots.remove(&runtime, &work.id).await.map_err(provider_problem) }).await
}

/// Waits until the snapshot is taken that a fork begins with, where it is taken for it.
pub async fn source_is_taken(run: &Arc<Run>, row: &WorkspaceRow) -> Result<(), Problem> {
    let Some(after) = row.source.as_ref().and_then(|source| source.after.clone()) else { return Ok(()) };
    run.only_waits();
    loop {
        let operation = run.patiently(|| run.parts.store.operation(&after)).await?;
        match operation {
            Some(operation) if operation.state == OperationState::Succeeded => break,
            Some(operation) if operation.state.is_final() => {
                let why = operation.error.map(|error| error.detail).unwrap_or_default();
                let detail = format!("The snapshot that the fork was to begin with was not taken. {why}");
                return Err(Problem::new(ErrorCode::SnapshotNotFound, detail).with_action(
                    "Delete this workspace, and fork again, where the original is still there.",
                ));
            }
            Some(_) => {}
            // Long ago, and its record is gone by now: its provider knows whether there is a snapshot.
            None => break,
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = run.ending.token().cancelled() => return Err(canceled()),
        }
    }
    run.works().await
}

/// What its user is told of a fork whose home was never made, and now cannot be: the advice about its own snapshots is of no use.
pub fn without_source(row: &WorkspaceRow, problem: Problem) -> Problem {
    let Some(source) = row.source.as_ref().filter(|_| problem.code == ErrorCode::SnapshotNotFound) else {
        return problem;
    };
    let detail = format!(
        "{} is a fork whose home was not made yet, and the snapshot {} that it was to begin with is not there any more: somebody has \
         removed it, or its original with it.",
        row.slug, source.id
    );
    Problem::new(ErrorCode::SnapshotNotFound, detail).with_action(format!(
        "There are no files in it: delete it with `pilot ws rm {}`, and fork again where there is a snapshot.",
        row.slug
    ))
}

fn ability(run: &Run, row: &WorkspaceRow) -> Result<Arc<dyn Snapshots>, Problem> {
    run.provider(row)?.snapshots().ok_or_else(|| {
        let detail = format!("The provider {} takes no snapshots.", row.provider);
        Problem::new(ErrorCode::CapabilityUnsupported, detail)
    })
}

fn told(run: &Arc<Run>) -> Told {
    let run = Arc::clone(run);
    Told::to(move |Copied { done, total }| {
        run.say(Severity::Info, format!("Copied {} of {}.", in_words(done), in_words(total)));
    })
}
