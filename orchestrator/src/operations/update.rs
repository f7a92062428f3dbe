//! Update: another image or size for what exists. The home stays, and so does what its user wants: what is stopped stays so.

use std::sync::Arc;

use contracts::Problem;
use contracts::operation::Phase;
use contracts::workspace::{Desired, Image};
use provider_api::RunStatus;

use super::apply::apply;
use super::run::Run;
use super::{shared, start, stop};
use crate::store::WorkspaceRow;

pub async fn run(run: &Arc<Run>) -> Result<(), Problem> {
    let before = run.row().await?;
    let row = before.updated(&run.update());
    let stack = run.compile(&row)?;
    run.respecify(&row).await?;
    run.reach(Phase::Planned).await?;
    let boots = row.image != before.image;
    made(run, &row, &stack, boots).await.map_err(|problem| way_back(problem, &row, before.image.as_ref()))
}

/// `boots`: what runs is to end, and by itself rather than with what it runs in.
async fn made(run: &Arc<Run>, row: &WorkspaceRow, stack: &stacks::Stack, boots: bool) -> Result<(), Problem> {
    if boots && start::status(run, row).await? == RunStatus::Running {
        stop::run(run).await?;
    }
    shared::ensure(run, row).await?;
    apply(run, stack, true).await?;
    run.reach(Phase::Applied).await?;
    if row.desired == Desired::Running {
        return start::run(run).await;
    }
    // What was gone altogether was made again, and began to run.
    match start::status(run, row).await? {
        RunStatus::Running => stop::run(run).await,
        _ => Ok(()),
    }
}

/// What was before is known here for the last time.
fn way_back(problem: Problem, row: &WorkspaceRow, before: Option<&Image>) -> Problem {
    let Some(before) = before.filter(|before| Some(*before) != row.image.as_ref()) else { return problem };
    let back = format!(
        "`pilot ws update {} --image {}` goes back to the image of before.",
        row.slug,
        before.exact()
    );
    let action = match &problem.action {
        Some(action) => format!("{action} {back}"),
        None => back,
    };
    problem.with_action(action)
}
