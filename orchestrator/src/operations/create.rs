//! Create: plan, apply, boot, ready. Every step finds what an interrupted run has left and goes on. Apply does the first two
//! again.

use std::sync::Arc;

use contracts::Problem;
use contracts::operation::Phase;
use contracts::workspace::Desired;

use super::apply::apply;
use super::run::Run;
use super::shared;
use super::start::boot;
use crate::lifecycle::state::Event;

pub async fn run(run: &Arc<Run>) -> Result<(), Problem> {
    let row = run.row().await?;
    let stack = run.compile(&row)?;
    run.step(Some(Event::CreateStarted), Some(Phase::Planned), None).await?;
    shared::ensure(run, &row).await?;
    apply(run, &stack, false).await?;
    run.step(Some(Event::Applied), Some(Phase::Applied), None).await?;
    boot(run, &row).await
}

/// Makes what exists as the stack says, and what is to run run.
pub async fn again(run: &Arc<Run>) -> Result<(), Problem> {
    let row = run.row().await?;
    let stack = run.compile(&row)?;
    run.reach(Phase::Planned).await?;
    shared::ensure(run, &row).await?;
    apply(run, &stack, true).await?;
    run.reach(Phase::Applied).await?;
    match row.desired {
        Desired::Running => super::start::run(run).await,
        _ => Ok(()),
    }
}
