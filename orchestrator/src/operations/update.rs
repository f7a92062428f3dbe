//! Update: another image or size for what exists. The home stays, and so does what its user wants: what is stopped stays so.

use std::sync::Arc;

use contracts::Problem;
use contracts::operation::{Phase, Update};
use contracts::workspace::{Desired, Observed};
use provider_api::RunStatus;

use super::apply::apply;
use super::run::Run;
use super::{shared, start, stop};
use crate::lifecycle::state::Event;
use crate::store::WorkspaceRow;

pub async fn run(run: &Arc<Run>) -> Result<(), Problem> {
    let (row, asked) = (run.row().await?, run.update());
    // Who takes it over finds it changed already, and what was before with the operation.
    let before = asked.before.clone().or_else(|| row.image.clone());
    let update = Update { before, ..asked };
    let row = row.updated(&update);
    let stack = run.compile(&row)?;
    run.respecify(&row, &update).await?;
    run.reach(Phase::Planned).await?;
    made(run, &row, &stack, &update).await.map_err(|problem| way_back(problem, &row, &update))
}

async fn made(
    run: &Arc<Run>,
    row: &WorkspaceRow,
    stack: &stacks::Stack,
    update: &Update,
) -> Result<(), Problem> {
    // With another image what runs is to end, and by itself rather than with what it runs in.
    let boots = is_another(row, update);
    if boots {
        match start::status(run, row).await? {
            RunStatus::Running => stop::run(run).await?,
            // Who was ended in the middle of the stop did not come to say that it is over.
            _ if row.observed == Observed::Stopping => run.observe(Event::StopFinished, None).await?,
            _ => {}
        }
    }
    shared::ensure(run, row).await?;
    apply(run, stack, true).await?;
    run.applied(row, None).await?;
    if row.desired == Desired::Running {
        return start::run(run).await;
    }
    // What was gone altogether was made again, and began to run.
    match start::status(run, row).await? {
        RunStatus::Running => stop::run(run).await,
        _ => Ok(()),
    }
}

fn is_another(row: &WorkspaceRow, update: &Update) -> bool {
    update.image.is_some() && update.before.as_ref().is_none_or(|before| !row.is_made_from(before))
}

fn way_back(problem: Problem, row: &WorkspaceRow, update: &Update) -> Problem {
    let Some(before) = update.before.as_ref().filter(|_| is_another(row, update)) else { return problem };
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
