//! Create: plan, apply, boot, ready. Every step finds what an interrupted run has left and goes on. Apply does the first two
//! again.

use std::sync::Arc;

use contracts::operation::Phase;
use contracts::{ErrorCode, Problem};

use super::apply::apply;
use super::run::Run;
use super::{home, shared, snapshots, start};
use crate::lifecycle::state::Event;
use crate::store::WorkspaceRow;

pub async fn run(run: &Arc<Run>) -> Result<(), Problem> {
    let row = run.row().await?;
    // One that was taken over may have run already.
    home::must_be_there(run, &row).await?;
    snapshots::source_is_taken(run, &row).await?;
    make(run, &row).await
}

async fn make(run: &Arc<Run>, row: &WorkspaceRow) -> Result<(), Problem> {
    let stack = run.compile(row)?;
    run.step(Some(Event::CreateStarted), Some(Phase::Planned), None).await?;
    shared::ensure(run, row).await?;
    apply(run, &stack, false).await.map_err(|problem| snapshots::without_source(row, problem))?;
    run.applied(row, Some(Event::Applied)).await?;
    start::boot(run, row).await
}

/// The same for a home that was kept: without it there is nothing to bring back.
pub async fn restore(run: &Arc<Run>) -> Result<(), Problem> {
    let row = run.row().await?;
    let provider = run.provider(&row)?;
    if !home::is_there(run, provider.as_ref(), &run.compile(&row)?).await? {
        let detail = format!("The home of {} is gone: there is nothing to bring back.", row.slug);
        return Err(Problem::new(ErrorCode::HomeGone, detail)
            .with_action(format!("`pilot ws rm {}` removes the rest; then create it anew.", row.slug)));
    }
    make(run, &row).await
}

/// Makes what exists as the stack says, and what is to run run.
pub async fn again(run: &Arc<Run>) -> Result<(), Problem> {
    let row = run.row().await?;
    home::must_be_there(run, &row).await?;
    let stack = run.compile(&row)?;
    run.reach(Phase::Planned).await?;
    shared::ensure(run, &row).await?;
    apply(run, &stack, true).await?;
    run.applied(&row, None).await?;
    start::as_desired(run, &row).await
}
