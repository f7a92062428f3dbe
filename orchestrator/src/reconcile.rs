//! Looks at what should be ready and says so when it is not: an instance that someone killed, a
//! container that came back at another port, a host that does not answer. A delete that failed is tried again.

use std::sync::Arc;
use std::time::Duration;

use contracts::identity::HealthStatus;
use contracts::operation::OperationKind;
use contracts::workspace::{Desired, Endpoint, Observed};
use contracts::{ErrorCode, InstallationId, Problem};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use provider_api::{RunStatus, RuntimeRef};

use crate::lifecycle::Lifecycle;
use crate::lifecycle::service::Caller;
use crate::lifecycle::state::{Event, next};
use crate::readiness;
use crate::store::{Change, Store, WorkspaceRow};
use crate::wiring::Providers;

const INTERVAL: Duration = Duration::from_secs(10);

/// So many are looked at side by side: one that does not answer keeps nobody waiting.
const AT_ONCE: usize = 32;

/// A delete that failed is tried again after the first of these, then after twice as long each time, up to the second.
const AGAIN: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(60 * 60)];

pub struct Reconciler {
    pub store: Store,
    pub providers: Providers,
    pub installation: InstallationId,
    pub probe: reqwest::Client,
    pub lifecycle: Arc<Lifecycle>,
}

impl Reconciler {
    /// Goes round for ever; ends when dropped.
    pub async fn run(self: Arc<Self>) {
        loop {
            if let Err(problem) = self.round().await {
                tracing::warn!(%problem, "reconcile");
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn round(self: &Arc<Self>) -> Result<(), Problem> {
        let rows = self.store.workspaces().await?;
        crate::metrics::workspaces(&rows);
        // Each in a task of its own, so that neither an error nor a panic keeps the others from their turn.
        let looks = rows.into_iter().map(|row| {
            let (this, slug) = (Arc::clone(self), row.slug.clone());
            let look = tokio::spawn(async move { this.converge(&row).await });
            async move { (slug, look.await) }
        });
        let mut looks = futures_util::stream::iter(looks).buffer_unordered(AT_ONCE);
        while let Some((slug, look)) = looks.next().await {
            match look {
                Ok(Ok(())) => {}
                Ok(Err(problem)) => tracing::warn!(%slug, %problem, "reconcile"),
                Err(panic) => tracing::error!(%slug, %panic, "reconcile"),
            }
        }
        Ok(())
    }

    async fn converge(&self, row: &WorkspaceRow) -> Result<(), Problem> {
        match (row.desired, row.observed) {
            (Desired::Running, Observed::Ready | Observed::Degraded | Observed::Unknown) => {
                match self.store.unfinished_of(&row.runtime_id).await?.is_empty() {
                    true => self.look(row).await,
                    false => Ok(()),
                }
            }
            (Desired::Deleted, Observed::Failed) => {
                let failures = self.store.failures_of(&row.runtime_id, OperationKind::Delete).await?;
                if since(row) < pause(failures) {
                    return Ok(());
                }
                let request_id = format!("again-{}", row.runtime_id);
                let caller = Caller { request_id, idempotency_key: None };
                self.lifecycle.delete(&row.id.clone().into(), &caller).await.map(drop)
            }
            _ => Ok(()),
        }
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
        let runtime = RuntimeRef::new(row.runtime_id.clone(), self.installation.clone());
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

/// Before the next attempt, after so many failures.
fn pause(failures: u32) -> Duration {
    let [first, most] = AGAIN;
    first.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1))).min(most)
}

/// How long it has been as it is; none where the clock went back.
fn since(row: &WorkspaceRow) -> Duration {
    Timestamp::now().duration_since(row.since).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delete_that_goes_on_failing_is_tried_less_and_less_often_and_never_given_up() {
        let seconds = |failures| pause(failures).as_secs();
        assert_eq!([1, 2, 3, 10].map(seconds), [10, 20, 40, 3600]);
        assert_eq!(seconds(u32::MAX), 3600);
    }
}
