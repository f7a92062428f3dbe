//! One look at one instance: the provider's word on whether it runs, and its own on how it is.

use contracts::identity::HealthStatus;
use contracts::workspace::{Desired, Endpoint};
use contracts::{ErrorCode, Problem};
use provider_api::site::must_be_reached;
use provider_api::{OwnedObject, Provider, RunStatus, RuntimeRef};

use super::Reconciler;
use super::decide::Seen;
use crate::engine::provider_problem;
use crate::operations::home;
use crate::readiness;
use crate::store::WorkspaceRow;

/// `listed`: what the provider has said, when it was asked for all. `known`: where it answered before.
pub async fn look(
    reconciler: &Reconciler,
    row: &WorkspaceRow,
    listed: Option<provider_api::Result<RunStatus>>,
    known: Option<Endpoint>,
) -> Seen {
    let provider = match reconciler.providers.serving(row) {
        Ok(provider) => provider,
        Err(problem) => return Seen::Hidden(problem),
    };
    let runtime = RuntimeRef::new(row.runtime_id.clone(), reconciler.installation.clone());
    let lifecycle = provider.lifecycle();
    let status = match listed {
        Some(Ok(status)) if is_as_desired(row.desired, &status) => Ok(status),
        Some(Err(error)) => Err(error),
        // Before anything follows from it, it is asked for by itself: a list may be a moment behind.
        _ => lifecycle.status(&runtime).await,
    };
    let mut waits_for = None;
    match status {
        Ok(RunStatus::Running) => {}
        Ok(RunStatus::Pending { reason }) => waits_for = Some(reason),
        Ok(RunStatus::Stopped { .. }) => return Seen::Stopped,
        Ok(RunStatus::Suspended) => return Seen::Suspended,
        Ok(RunStatus::Absent) => {
            return match learn(reconciler, row, provider.as_ref()).await {
                Ok(()) => absent(reconciler, row, provider.as_ref(), &runtime).await,
                Err(problem) => Seen::Hidden(problem),
            };
        }
        Err(error) => return Seen::Hidden(provider_problem(error)),
    }
    let unreachable = |detail: String| {
        let action =
            format!("`pilot ws logs {0}` shows what it says; `pilot ws start {0}` starts it anew.", row.slug);
        let problem = Problem::new(ErrorCode::UpstreamUnreachable, detail).with_action(action);
        Seen::Unwell(problem, None)
    };
    // That it runs at all is enough to know where it should not.
    if row.desired != Desired::Running {
        return unreachable("It runs.".to_owned());
    }
    if let Some(reason) = waits_for {
        let detail = format!("The instance cannot run yet: {reason}.");
        let action = "It runs by itself as soon as that has passed.";
        return Seen::Unwell(Problem::new(ErrorCode::InstanceNotReady, detail).with_action(action), None);
    }
    if let Some(endpoint) = known
        && readiness::answers(&reconciler.probe, &endpoint, &row.runtime_id).await
    {
        return Seen::Answers(endpoint);
    }
    let Ok(endpoint) = lifecycle.endpoint(&runtime).await else {
        return unreachable("The instance has no address.".to_owned());
    };
    match readiness::probe(&reconciler.probe, &endpoint).await {
        Some(health) if health.identity.runtime_id != row.runtime_id => {
            unreachable(format!("Another instance answers at {endpoint}."))
        }
        Some(health) if health.status == HealthStatus::Ok => Seen::Answers(endpoint),
        Some(health) => {
            let detail = health.detail.unwrap_or_else(|| "OpenCode does not answer.".to_owned());
            let code = health.code.unwrap_or(ErrorCode::OpencodeUnavailable);
            let problem = Problem::new(code, detail);
            match health.status == HealthStatus::Failed {
                true => Seen::GaveUp(problem),
                // The backend says itself, and to users, that OpenCode is on its way: traffic may go there.
                false => Seen::Unwell(problem, Some(endpoint)),
            }
        }
        None => unreachable("The instance does not answer.".to_owned()),
    }
}

/// Keeps where it is. An error where that is a place that is not reached: what is not seen is not gone then.
pub async fn learn(
    reconciler: &Reconciler,
    row: &WorkspaceRow,
    provider: &dyn Provider,
) -> Result<(), Problem> {
    let Some(sites) = provider.sites() else { return Ok(()) };
    let runtime = RuntimeRef::new(row.runtime_id.clone(), reconciler.installation.clone());
    match must_be_reached(sites.as_ref(), &runtime, &row.sites).await.map_err(provider_problem)? {
        Some(site) => {
            tracing::info!(slug = %row.slug, site = site.id, via = site.via, "where it is is known now");
            Ok(reconciler.store.learn_sites(&row.runtime_id, &row.sites, &[site]).await?)
        }
        None => Ok(()),
    }
}

/// Whether its files are there still. What never ran had none.
async fn absent(
    reconciler: &Reconciler,
    row: &WorkspaceRow,
    provider: &dyn Provider,
    runtime: &RuntimeRef,
) -> Seen {
    let Some(inventory) = provider.inventory().filter(|_| provider.describe().persistent_home) else {
        return Seen::Absent;
    };
    match reconciler.store.has_run(&row.runtime_id).await {
        Ok(true) => {}
        Ok(false) => return Seen::Absent,
        Err(error) => return Seen::Hidden(error.into()),
    }
    match inventory.list_runtime(runtime).await {
        Ok(owned) if owned.iter().any(OwnedObject::is_home) => Seen::Absent,
        Ok(_) => Seen::Lost(home::gone(row)),
        Err(error) => Seen::Hidden(provider_problem(error)),
    }
}

fn is_as_desired(desired: Desired, status: &RunStatus) -> bool {
    match desired {
        Desired::Running => *status == RunStatus::Running,
        Desired::Stopped => matches!(status, RunStatus::Stopped { .. } | RunStatus::Absent),
        Desired::Suspended => matches!(status, RunStatus::Suspended | RunStatus::Stopped { .. }),
        Desired::Deleted => *status == RunStatus::Absent,
    }
}
