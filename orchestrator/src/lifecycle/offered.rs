//! What is told of a workspace whose provider this server does not offer: nobody can look, whatever was seen before.

use contracts::ErrorCode;
use contracts::workspace::{Desired, Observed};

use super::Lifecycle;
use crate::store::WorkspaceRow;

impl Lifecycle {
    /// As it is known at this moment. The next look writes the same down, and takes it back once the provider is offered again.
    pub(super) fn told(&self, row: WorkspaceRow) -> WorkspaceRow {
        let is_seen = row.home_until.is_none() && row.desired != Desired::Deleted;
        match self.providers.serving(&row) {
            // What has failed keeps its reason.
            Err(problem) if is_seen && row.observed != Observed::Failed => {
                WorkspaceRow { observed: Observed::Unknown, error: Some(problem), ..row }
            }
            Ok(_) if row.error.as_ref().is_some_and(|error| error.code == ErrorCode::UnknownProvider) => {
                WorkspaceRow { error: None, ..row }
            }
            _ => row,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, OnceLock};
    use std::time::Duration;

    use contracts::operation::{OperationKind, OperationState};

    use super::*;
    use crate::lifecycle::changes::new_operation;
    use crate::lifecycle::service::Caller;
    use crate::operations::{Runner, stand_in};
    use crate::store::{End, Hold, Left, WorkspaceQuery};
    use crate::wiring::Providers;

    #[tokio::test]
    async fn of_a_provider_that_is_not_offered_nothing_is_known_from_the_first_moment_and_the_way_out_is_named()
     {
        let folder = tempfile::tempdir().unwrap();
        let parts = stand_in::parts(folder.path()).await;
        parts.shutdown.cancel();
        let fixture = provider_fake::conformance::fixture().await;
        let mut lifecycle = Lifecycle {
            store: parts.store.clone(),
            providers: Providers::of([]),
            engine: Arc::clone(&parts.engine),
            installation: parts.installation.clone(),
            runner: Runner::new(parts),
            default_provider: "fake".parse().unwrap(),
            repair: crate::reconcile::Repair::Auto,
            stray_grace: Duration::ZERO,
            snapshot_limit: 10,
            gateway: OnceLock::new(),
        };
        let row = WorkspaceRow::new("demo".parse().unwrap(), "fake".parse().unwrap(), String::new());
        let row = WorkspaceRow { desired: Desired::Running, observed: Observed::Ready, ..row };
        let caller = Caller {
            principal: "admin".to_owned(),
            request_id: "req-1".to_owned(),
            idempotency_key: None,
            if_match: None,
        };
        let create = new_operation(OperationKind::Create, &caller, "");
        lifecycle.store.insert_workspace(&row, &create).await.unwrap();
        let claimed = lifecycle.store.claim("me", Duration::from_secs(9), &[], &[]).await.unwrap().unwrap();
        let (operation, runtime) = (claimed.operation.id, claimed.operation.runtime_id);
        let (state, phases) = (OperationState::Succeeded, claimed.operation.phases);
        let end = End { state, phases, error: None, change: None, left: Left::All };
        lifecycle.store.finish(&Hold { operation, runtime, fence: claimed.fence }, end).await.unwrap();
        let name = row.slug.clone().into();

        let query = WorkspaceQuery { most: 10, ..WorkspaceQuery::default() };
        let listed = lifecycle.list(query).await.unwrap().workspaces.remove(0);
        let why = lifecycle.why(&name).await.unwrap();
        for told in [lifecycle.get(&name).await.unwrap(), listed, why.workspace] {
            let error = told.error.unwrap();
            assert_eq!((told.state, error.code), (Observed::Unknown, ErrorCode::UnknownProvider.into()));
            let action = error.action.unwrap();
            assert!(
                action.contains("Start the server with it") && action.contains("rm --forget demo"),
                "{action}"
            );
        }
        assert!(why.next.starts_with("Nothing by itself"), "{}", why.next);
        assert!(!lifecycle.logs(&name, 10).await.unwrap_err().action.unwrap().contains("Use one of"));

        // Offered again, it is as it was seen; and what was written down meanwhile is not told any more.
        lifecycle.providers = Providers::of([fixture.provider.clone()]);
        assert_eq!(lifecycle.get(&name).await.unwrap().state, Observed::Ready);
    }
}
