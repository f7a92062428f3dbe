//! Stop: the instance ends, its data stays. Suspend: its memory stays too. Hibernate: it ends, until somebody wants to use it.

use std::sync::Arc;
use std::time::Duration;

use contracts::Problem;
use contracts::operation::OperationKind;
use contracts::workspace::{Endpoint, Route};

use super::run::{Run, canceled};
use super::start::limited;
use crate::lifecycle::state::Event;
use crate::readiness;

/// How long an instance may take to end by itself.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long what could not be ended is looked at.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

pub async fn run(run: &Arc<Run>) -> Result<(), Problem> {
    let row = run.row().await?;
    // From here on no traffic is sent to it.
    run.observe(Event::StopStarted, None).await?;
    let lifecycle = run.provider(&row)?.lifecycle();
    limited("stop", lifecycle.stop(&run.runtime(), GRACE)).await?;
    run.observe(Event::StopFinished, None).await
}

pub async fn suspend(run: &Arc<Run>) -> Result<(), Problem> {
    let row = run.row().await?;
    run.observe(Event::StopStarted, None).await?;
    if row.endpoint.is_some() {
        unknown_to_gateways(run).await?;
    }
    let lifecycle = run.provider(&row)?.lifecycle();
    limited("suspend", lifecycle.suspend(&run.runtime())).await?;
    run.observe(Event::SuspendFinished, None).await
}

pub async fn hibernate(run: &Arc<Run>) -> Result<(), Problem> {
    let row = run.row().await?;
    run.observe(Event::StopStarted, None).await?;
    let lifecycle = run.provider(&row)?.lifecycle();
    limited("hibernate", lifecycle.hibernate(&run.runtime(), GRACE)).await?;
    run.observe(Event::SuspendFinished, None).await
}

/// Waits until no gateway sends requests by a route that it was told before. One that ends refuses them; one that is suspended
/// would take them and never answer.
async fn unknown_to_gateways(run: &Run) -> Result<(), Problem> {
    tokio::select! {
        () = tokio::time::sleep(Route::FRESH) => Ok(()),
        () = run.ending.token().cancelled() => Err(canceled()),
    }
}

/// Where it answers, of a runtime that could not be ended: whoever has something in it that cannot be kept has to reach it.
pub async fn goes_on(run: &Run) -> Option<Endpoint> {
    let ends = [OperationKind::Stop, OperationKind::Suspend, OperationKind::Hibernate, OperationKind::Delete];
    if !ends.contains(&run.kind()) {
        return None;
    }
    let look = async {
        let row = run.row().await.ok()?;
        let endpoint = run.provider(&row).ok()?.lifecycle().endpoint(&run.runtime()).await.ok()?;
        readiness::answers(&run.parts.probe, &endpoint, &row.runtime_id).await.then_some(endpoint)
    };
    tokio::time::timeout(LOOK_TIMEOUT, look).await.ok().flatten()
}
