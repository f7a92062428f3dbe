//! Looks at what should be ready and says so when it is not: an instance that someone killed, a
//! container that came back at another port, a host that does not answer.

use std::time::Duration;

use contracts::identity::HealthStatus;
use contracts::workspace::{Desired, Endpoint, Observed};
use contracts::{ErrorCode, InstallationId, Problem};
use provider_api::{RunStatus, RuntimeRef};

use crate::lifecycle::state::{Event, next};
use crate::readiness;
use crate::store::{Change, Store, WorkspaceRow};
use crate::wiring::Providers;

const INTERVAL: Duration = Duration::from_secs(10);

pub struct Reconciler {
    pub store: Store,
    pub providers: Providers,
    pub installation: InstallationId,
    pub probe: reqwest::Client,
}

impl Reconciler {
    /// Goes round for ever; ends when dropped.
    pub async fn run(self) {
        loop {
            if let Err(problem) = self.round().await {
                tracing::warn!(%problem, "reconcile");
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn round(&self) -> Result<(), Problem> {
        let rows = self.store.workspaces().await?;
        crate::metrics::workspaces(&rows);
        for row in rows {
            let settled = matches!(row.observed, Observed::Ready | Observed::Degraded | Observed::Unknown);
            if settled
                && row.desired == Desired::Running
                && self.store.unfinished_of(&row.runtime_id).await?.is_empty()
            {
                self.look(&row).await?;
            }
        }
        Ok(())
    }

    async fn look(&self, row: &WorkspaceRow) -> Result<(), Problem> {
        let (event, endpoint, error) = self.see(row).await;
        let Ok(observed) = next(row.observed, event) else { return Ok(()) };
        if (observed, &endpoint, &error) == (row.observed, &row.endpoint, &row.error) {
            return Ok(());
        }
        tracing::info!(slug = %row.slug, from = ?row.observed, to = ?observed, "observed");
        // False when an operation was faster: then its word counts.
        self.store.observe(&row.runtime_id, row.observed, &Change { observed, endpoint, error }).await?;
        Ok(())
    }

    async fn see(&self, row: &WorkspaceRow) -> (Event, Option<Endpoint>, Option<Problem>) {
        let unhealthy = |code, detail: String| {
            let action = format!("`pilot ws start {}` starts it again.", row.slug);
            (Event::BecameUnhealthy, None, Some(Problem::new(code, detail).with_action(action)))
        };
        let Ok(provider) = self.providers.get(row.provider.as_str()) else {
            return unhealthy(
                ErrorCode::UnknownProvider,
                format!("The provider {} is not configured.", row.provider),
            );
        };
        let runtime =
            RuntimeRef { runtime_id: row.runtime_id.clone(), installation: self.installation.clone() };
        let lifecycle = provider.lifecycle();
        match lifecycle.status(&runtime).await {
            Ok(RunStatus::Running) => {}
            Ok(RunStatus::Stopped { .. } | RunStatus::Suspended | RunStatus::Absent) => {
                return unhealthy(
                    ErrorCode::InstanceFailed,
                    "The instance is not running any more.".to_owned(),
                );
            }
            // Not reachable is not gone.
            Err(error) => {
                return (
                    Event::ContactLost,
                    row.endpoint.clone(),
                    Some(crate::engine::provider_problem(error)),
                );
            }
        }
        let Ok(endpoint) = lifecycle.endpoint(&runtime).await else {
            return unhealthy(ErrorCode::UpstreamUnreachable, "The instance has no address.".to_owned());
        };
        match readiness::probe(&self.probe, &endpoint).await {
            Some(health) if health.identity.runtime_id != row.runtime_id => {
                unhealthy(ErrorCode::UpstreamUnreachable, format!("Another instance answers at {endpoint}."))
            }
            Some(health) if health.status == HealthStatus::Ok => (Event::BecameReady, Some(endpoint), None),
            // The backend says itself, and to users, that OpenCode is on its way: traffic may go there.
            Some(health) => {
                let detail = health.detail.unwrap_or_else(|| "OpenCode does not answer.".to_owned());
                let problem = Problem::new(ErrorCode::OpencodeUnavailable, detail);
                (Event::BecameUnhealthy, Some(endpoint), Some(problem))
            }
            None => unhealthy(ErrorCode::UpstreamUnreachable, "The instance does not answer.".to_owned()),
        }
    }
}
