//! Create: plan, apply, boot, ready. Every step finds what an interrupted run has left and goes on. Apply does the first two
//! again.

use std::sync::Arc;

use contracts::operation::Phase;
use contracts::workspace::Desired;
use contracts::{ErrorCode, Problem};

use super::apply::apply;
use super::delete::has_home;
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
    run.applied(&row, Some(Event::Applied)).await?;
    boot(run, &row).await
}

/// The same for a home that was kept: without it there is nothing to bring back.
pub async fn restore(run: &Arc<Run>) -> Result<(), Problem> {
    let row = run.row().await?;
    let provider = run.provider(&row)?;
    if !has_home(run, provider.as_ref(), &run.compile(&row)?).await? {
        let detail = format!("The home of {} is gone: there is nothing to bring back.", row.slug);
        return Err(Problem::new(ErrorCode::HomeGone, detail)
            .with_action(format!("`pilot ws rm {}` removes the rest; then create it anew.", row.slug)));
    }
    self::run(run).await
}

/// Makes what exists as the stack says, and what is to run run.
pub async fn again(run: &Arc<Run>) -> Result<(), Problem> {
    let row = run.row().await?;
    let stack = run.compile(&row)?;
    run.reach(Phase::Planned).await?;
    shared::ensure(run, &row).await?;
    apply(run, &stack, true).await?;
    run.applied(&row, None).await?;
    match row.desired {
        Desired::Running => super::start::run(run).await,
        _ => Ok(()),
    }
}
