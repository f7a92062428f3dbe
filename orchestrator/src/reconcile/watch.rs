//! Looks at an instance as soon as its provider says that something has happened to it. What is told is a hint: nothing follows
//! from it but a look. Rounds go on all the same, for what is not told.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use contracts::RuntimeId;
use futures_util::StreamExt as _;
use provider_api::{Provider, lifecycle::Changes};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::Reconciler;
use super::ask::Asked;

/// What happens to one in a moment is looked at once.
const MOMENT: Duration = Duration::from_millis(250);

/// After the first of these a provider that could not be heard is listened to again, then after twice as long each time.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Where traffic went is believed, as in a round between those that ask for it.
const NO_ROUND: u32 = 1;

/// For ever; ends when dropped.
pub async fn run(reconciler: Arc<Reconciler>) {
    let providers: Vec<_> = reconciler.providers.all().cloned().collect();
    let listens = providers.into_iter().map(|provider| async {
        let name = provider.describe().name;
        let listens = tokio::spawn(listen(Arc::clone(&reconciler), provider));
        if let Err(panic) = AbortOnDropHandle::new(listens).await {
            tracing::error!(provider = %name, %panic, "what it tells is not heard any more; rounds go on");
        }
    });
    futures_util::future::join_all(listens).await;
}

/// Ends where the provider tells nothing.
async fn listen(reconciler: Arc<Reconciler>, provider: Arc<dyn Provider>) {
    let (lifecycle, name) = (provider.lifecycle(), provider.describe().name);
    let mut pause = AGAIN[0];
    while let Some(changes) = lifecycle.watch(reconciler.installation.clone()) {
        if hear(&reconciler, changes).await {
            pause = AGAIN[0];
        }
        tracing::debug!(provider = %name, "it is not heard any more, and listened to again in {pause:?}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(AGAIN[1]);
    }
}

/// Until there is nothing more to hear; whether there was anything.
async fn hear(reconciler: &Arc<Reconciler>, mut changes: Changes<'_>) -> bool {
    let mut has_heard = false;
    while let Some(change) = changes.next().await {
        let mut runtimes = HashSet::from([match change {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::debug!(%error, "a provider is not heard");
                return has_heard;
            }
        }]);
        has_heard = true;
        let until = Instant::now() + MOMENT;
        while let Ok(Some(Ok(runtime))) = timeout_at(until, changes.next()).await {
            runtimes.insert(runtime);
        }
        reconciler.look_at(runtimes).await;
    }
    has_heard
}

impl Reconciler {
    /// Side by side; where another orchestrator goes round, that one listens as well.
    async fn look_at(self: &Arc<Self>, runtimes: HashSet<RuntimeId>) {
        if !self.holds_lease().await.unwrap_or(false) {
            return;
        }
        let look = |runtime| async move {
            match self.store.workspace_of(&runtime).await {
                Ok(Some(row)) => {
                    Arc::clone(self).look_apart(Asked { row, listed: None }, NO_ROUND).await;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%runtime, %error, "what has changed is not seen before the next round")
                }
            }
        };
        futures_util::stream::iter(runtimes).for_each_concurrent(super::AT_ONCE, look).await;
    }
}

#[cfg(test)]
mod tests {
    use provider_api::conformance::eventually;

    use super::*;
    use crate::operations::stand_in;
    use crate::reconcile::Repair;
    use crate::store::{NewOperation, WorkspaceRow};
    use crate::wiring::Providers;
    use contracts::operation::OperationKind;
    use contracts::workspace::Observed;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_told_is_seen_without_a_round() {
        let folder = tempfile::tempdir().unwrap();
        let fixture = provider_fake::conformance::fixture().await;
        let mut stack = fixture.stack();
        stack.up().await;
        let lifecycle = Arc::new(stand_in::lifecycle(folder.path()).await);
        let store = lifecycle.store.clone();
        let row = WorkspaceRow {
            runtime_id: stack.spec.runtime_id.clone(),
            ..WorkspaceRow::new("demo".parse().unwrap(), "fake".parse().unwrap(), "small".to_owned())
        };
        store.insert_workspace(&row, &NewOperation::of(OperationKind::Create, "ada", "req-1")).await.unwrap();
        crate::reconcile::tests::ends_well(&store).await;
        let reconciler = Arc::new(Reconciler {
            store: store.clone(),
            providers: Providers::of([Arc::clone(&fixture.provider)]),
            installation: fixture.installation.clone(),
            probe: crate::readiness::client().unwrap(),
            lifecycle,
            repair: Repair::Report,
            hurry: 1,
            name: "me".to_owned(),
        });
        let listens = tokio::spawn(run(reconciler));
        let runtime = stack.runtime();
        let observed = async || store.workspace_of(&runtime.runtime_id).await.unwrap().unwrap().observed;
        // A word that is said before anybody listens is not heard, so it is said again.
        eventually("it is seen down", async || {
            fixture.provider.lifecycle().start(&runtime).await.unwrap();
            fixture.provider.lifecycle().stop(&runtime, Duration::ZERO).await.unwrap();
            tokio::time::sleep(MOMENT * 2).await;
            observed().await == Observed::Degraded
        })
        .await;
        listens.abort();
    }
}
