//! A keeper that somebody has ended or removed comes back with the next look at the containers of its host.
//!
//! Docker starts one that ended by itself, and none that was killed or stopped by hand. Its rules hold without it; but nobody answers
//! the names of those that have a list of destinations, and nobody puts rules back. So it is looked at once for each host and
//! round, and only where something runs.

use std::sync::Arc;

use bollard::models::{ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum};
use contracts::InstallationId;
use provider_api::Result;

use super::close;
use super::keeper::{Keeper, is_paused, runs};
use crate::engine::Engine;
use crate::names;

/// Sees in the background to the keeper of a host with these containers.
pub(crate) fn look_after(engine: &Arc<Engine>, installation: &InstallationId, listed: &[ContainerSummary]) {
    let mut running =
        listed.iter().filter(|one| one.state == Some(ContainerSummaryStateEnum::RUNNING)).peekable();
    // Who is at it already is enough.
    if running.peek().is_none() || engine.closed.is_in_hand() {
        return;
    }
    let has_list =
        running.any(|one| one.labels.as_ref().is_some_and(|labels| names::egress(labels).is_some()));
    let (engine, installation) = (Arc::clone(engine), installation.clone());
    tokio::spawn(async move {
        if let Err(error) = see_to(&engine, &installation, has_list).await {
            tracing::warn!(host = engine.host.name, %error, "the keeper of rules was not brought back");
        }
    });
}

async fn see_to(engine: &Engine, installation: &InstallationId, has_list: bool) -> Result<()> {
    let found = (Keeper { engine, installation }).find().await?;
    if found.as_ref().map_or(has_list, has_ended) {
        tracing::warn!(host = engine.host.name, "nothing keeps the rules of this host: it is brought back");
        close(engine, installation).await?;
    }
    Ok(())
}

/// And Docker does not start it. What is frozen was meant to be, by somebody who looks at it.
fn has_ended(found: &ContainerInspectResponse) -> bool {
    let restarts = found.state.as_ref().is_some_and(|state| state.restarting == Some(true));
    !runs(found) && !is_paused(found) && !restarts
}
