//! Create: plan, apply, boot, ready. Every step finds what an interrupted run has left and goes on.

use std::sync::Arc;

use contracts::Problem;
use contracts::operation::Phase;

use super::apply::apply;
use super::run::Run;
use super::shared;
use super::start::boot;
use crate::lifecycle::state::Event;

pub async fn run(run: &Arc<Run>) -> Result<(), Problem> {
    let row = run.row().await?;
    run.observe(Event::CreateStarted, None).await?;
    let stack = run.compile(&row)?;
    run.reach(Phase::Planned).await?;
    shared::ensure(run, &row).await?;
    apply(run, &stack, false).await?;
    run.observe(Event::Applied, None).await?;
    run.reach(Phase::Applied).await?;
    boot(run, &row).await
}
