//! What changes a workspace. A change is committed and then runs; everything that can be refused is refused before the
//! commit.

use contracts::operation::{Operation, OperationKind};
use std::sync::Arc;

use contracts::workspace::{
    Accepted, CreateWorkspace, Desired, Observed, RenameWorkspace, UpdateWorkspace, Woken, Workspace,
};
use contracts::{ErrorCode, OperationId, Problem, WorkspaceRef};

use super::keys::digest;
use super::request::{self, ValidCreate};
use super::service::{Caller, Lifecycle, not_found, slug_taken};
use crate::engine::provider_problem;
use crate::store::{NewOperation, StoreError, WorkspaceRow};

impl Lifecycle {
    pub async fn create(&self, body: CreateWorkspace, caller: &Caller) -> Result<Accepted, Problem> {
        let digest = serde_json::to_string(&body).unwrap_or_default();
        let ask = async {
            let valid = request::validate(body, &self.providers, self.default_provider.as_str())?;
            let provider = Arc::clone(&valid.provider);
            provider.ready().await.map_err(provider_problem)?;
            let image = request::usual_image(provider.as_ref()).await?;
            let row = WorkspaceRow { image, ..new_row(valid) };
            let operation = new_operation(OperationKind::Create, caller, &digest);
            match self.store.insert_workspace(&row, &operation).await {
                Ok(operation) => self.accepted(&row.id.into(), operation).await,
                Err(StoreError::SlugTaken) => Err(slug_taken(&row.slug)),
                Err(error) => Err(error.into()),
            }
        };
        self.once(caller.key(&digest).as_ref(), |id| self.accepted_before(id), ask).await
    }

    pub async fn start(&self, name: &WorkspaceRef, caller: &Caller) -> Result<Accepted, Problem> {
        self.change(name, OperationKind::Start, Some(Desired::Running), caller).await
    }

    pub async fn stop(&self, name: &WorkspaceRef, caller: &Caller) -> Result<Accepted, Problem> {
        self.change(name, OperationKind::Stop, Some(Desired::Stopped), caller).await
    }

    /// Keeps the instance's memory, where the provider can.
    pub async fn suspend(&self, name: &WorkspaceRef, caller: &Caller) -> Result<Accepted, Problem> {
        let digest = digest(OperationKind::Suspend, name);
        let ask = async {
            let row = self.row(name).await?;
            if !self.providers.get(row.provider.as_str())?.describe().suspend {
                let detail = format!("The provider {} cannot suspend workspaces.", row.provider);
                return Err(Problem::new(ErrorCode::CapabilityUnsupported, detail).with_action(format!(
                    "`pilot ws stop {}` stops it; `pilot provider ls` shows who can.",
                    row.slug
                )));
            }
            if row.observed == Observed::Stopped {
                let detail = format!("The workspace {} is stopped, so it has no memory to keep.", row.slug);
                return Err(Problem::new(ErrorCode::WorkspaceStopped, detail)
                    .with_action(format!("Start it with `pilot ws start {}` first.", row.slug)));
            }
            let operation = new_operation(OperationKind::Suspend, caller, &digest);
            self.ask(name, &row, Some(Desired::Suspended), operation).await
        };
        self.once(caller.key(&digest).as_ref(), |id| self.accepted_before(id), ask).await
    }

    /// Goes on with what was suspended; starts what is stopped.
    pub async fn resume(&self, name: &WorkspaceRef, caller: &Caller) -> Result<Accepted, Problem> {
        self.change(name, OperationKind::Resume, Some(Desired::Running), caller).await
    }

    /// Stops and starts it.
    pub async fn restart(&self, name: &WorkspaceRef, caller: &Caller) -> Result<Accepted, Problem> {
        self.change(name, OperationKind::Restart, Some(Desired::Running), caller).await
    }

    /// Makes what exists outside as the stack says. What is desired stays.
    pub async fn apply(&self, name: &WorkspaceRef, caller: &Caller) -> Result<Accepted, Problem> {
        self.change(name, OperationKind::Apply, None, caller).await
    }

    /// Another image or size. What is desired stays.
    pub async fn update(
        &self,
        name: &WorkspaceRef,
        body: UpdateWorkspace,
        caller: &Caller,
    ) -> Result<Accepted, Problem> {
        let digest = format!("update {name} {}", serde_json::to_string(&body).unwrap_or_default());
        let ask = async {
            let row = self.row(name).await?;
            let provider = self.providers.get(row.provider.as_str())?;
            let update = request::update(body, provider.as_ref()).await?;
            let operation = new_operation(OperationKind::Update, caller, &digest);
            self.ask(name, &row, None, NewOperation { update: Some(update), ..operation }).await
        };
        self.once(caller.key(&digest).as_ref(), |id| self.accepted_before(id), ask).await
    }

    /// Gives it another name. Its id, its runtime and its files stay; browsers find it at the new name.
    pub async fn rename(
        &self,
        name: &WorkspaceRef,
        body: RenameWorkspace,
        caller: &Caller,
    ) -> Result<Workspace, Problem> {
        let slug = request::slug(&body.slug)?;
        let key = caller.key(&format!("rename {name} {slug}"));
        let ask = async {
            let row = self.row(name).await?;
            let asked = (caller.principal.as_str(), caller.request_id.as_str());
            match self.store.rename(&row, &slug, asked, caller.if_match.as_deref(), key.as_ref()).await {
                Ok(()) => self.get(&row.id.into()).await,
                Err(StoreError::SlugTaken) => Err(slug_taken(&slug)),
                Err(StoreError::Gone) => Err(not_found(name)),
                Err(error) => Err(error.into()),
            }
        };
        self.once(key.as_ref(), |id| self.renamed_before(id), ask).await
    }

    /// Legal at any time: what runs for the workspace is cancelled first.
    pub async fn delete(&self, name: &WorkspaceRef, caller: &Caller) -> Result<Accepted, Problem> {
        self.change(name, OperationKind::Delete, Some(Desired::Deleted), caller).await
    }

    /// Asks an operation to end, in whatever phase it is. What was desired before it is desired again.
    pub async fn cancel(&self, id: &OperationId) -> Result<Operation, Problem> {
        let operation = self.store.cancel(id).await?;
        self.runner.cancel(id);
        operation
            .ok_or_else(|| Problem::new(ErrorCode::OperationNotFound, format!("There is no operation {id}.")))
    }

    /// Somebody wants to use it: what is suspended goes on. What its user has stopped stays stopped.
    pub async fn wake(&self, name: &WorkspaceRef, caller: &Caller) -> Result<Woken, Problem> {
        let row = self.row(name).await?;
        let operation = match row.desired {
            Desired::Running => self.store.unfinished_of(&row.runtime_id).await?.into_iter().next(),
            Desired::Suspended => {
                // Only what is suspended still, when it comes to that.
                let caller = Caller { if_match: Some(row.tag()), ..caller.clone() };
                Some(self.resume(&row.id.clone().into(), &caller).await?.operation)
            }
            Desired::Stopped => {
                let detail = format!("The workspace {} was stopped by its user.", row.slug);
                return Err(Problem::new(ErrorCode::WorkspaceStopped, detail)
                    .with_action(format!("Start it with `pilot ws start {}`.", row.slug)));
            }
            Desired::Deleted => return Err(not_found(name)),
        };
        Ok(Woken { route: self.resolve(name).await?, operation })
    }

    /// Releases it without its provider, which is gone for good.
    pub async fn forget(&self, name: &WorkspaceRef, caller: &Caller) -> Result<Accepted, Problem> {
        self.change(name, OperationKind::Forget, Some(Desired::Deleted), caller).await
    }

    pub(super) async fn change(
        &self,
        name: &WorkspaceRef,
        kind: OperationKind,
        desired: Option<Desired>,
        caller: &Caller,
    ) -> Result<Accepted, Problem> {
        // The key before the slug: it may be that of a successor by now.
        let digest = digest(kind, name);
        let ask = async {
            let row = match self.row(name).await {
                // What is kept of one that is deleted can be given up as well.
                Err(problem)
                    if problem.code == ErrorCode::WorkspaceNotFound
                        && matches!(kind, OperationKind::Purge | OperationKind::Forget) =>
                {
                    self.one_kept(name).await?
                }
                row => row?,
            };
            self.ask(name, &row, desired, new_operation(kind, caller, &digest)).await
        };
        self.once(caller.key(&digest).as_ref(), |id| self.accepted_before(id), ask).await
    }

    pub(super) async fn ask(
        &self,
        name: &WorkspaceRef,
        row: &WorkspaceRow,
        desired: Option<Desired>,
        operation: NewOperation,
    ) -> Result<Accepted, Problem> {
        let wanted = match self.store.request(&row.id, desired, &operation).await {
            Err(StoreError::Gone) => return Err(not_found(name)),
            wanted => wanted?,
        };
        if let Some(other) = &wanted.cancelled {
            self.runner.cancel(other);
        }
        self.accepted(&row.id.clone().into(), wanted.operation).await
    }

    async fn accepted(&self, name: &WorkspaceRef, operation: Operation) -> Result<Accepted, Problem> {
        Ok(Accepted { workspace: self.get(name).await?, operation })
    }
}

pub(super) fn new_row(valid: ValidCreate) -> WorkspaceRow {
    WorkspaceRow {
        region: valid.region,
        git: valid.git,
        owner: valid.owner,
        labels: valid.labels,
        ..WorkspaceRow::new(valid.slug, valid.description.name, valid.size)
    }
}

pub(super) fn new_operation(kind: OperationKind, caller: &Caller, digest: &str) -> NewOperation {
    NewOperation {
        idempotency: caller.idempotency_key.clone().map(|key| (key, digest.to_owned())),
        if_match: caller.if_match.clone(),
        ..NewOperation::of(kind, &caller.principal, &caller.request_id)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;
    use crate::operations::{Runner, stand_in};
    use crate::store::Store;

    async fn lifecycle(root: &std::path::Path) -> Lifecycle {
        let parts = stand_in::parts(root).await;
        // What is accepted stays queued.
        parts.shutdown.cancel();
        Lifecycle {
            store: parts.store.clone(),
            providers: parts.providers.clone(),
            engine: Arc::clone(&parts.engine),
            installation: parts.installation.clone(),
            runner: Runner::new(parts),
            default_provider: "test".parse().unwrap(),
            repair: crate::reconcile::Repair::Auto,
            stray_grace: std::time::Duration::ZERO,
            gateway: OnceLock::new(),
        }
    }

    fn caller(key: Option<&str>) -> Caller {
        let idempotency_key = key.map(str::to_owned);
        Caller {
            principal: "admin".to_owned(),
            request_id: "req-1".to_owned(),
            idempotency_key,
            if_match: None,
        }
    }

    /// As the end of a delete does.
    async fn remove(store: &Store) {
        let claimed = store.claim("me", std::time::Duration::from_secs(9), &[], &[]).await.unwrap().unwrap();
        let (operation, runtime) = (claimed.operation.id, claimed.operation.runtime_id);
        let (state, phases) = (contracts::operation::OperationState::Succeeded, claimed.operation.phases);
        let left = crate::store::Left::Nothing;
        let end = crate::store::End { state, phases, error: None, change: None, left };
        store.finish(&crate::store::Hold { operation, runtime, fence: claimed.fence }, end).await.unwrap();
    }

    fn row(slug: &str) -> WorkspaceRow {
        WorkspaceRow::new(slug.parse().unwrap(), "test".parse().unwrap(), String::new())
    }

    #[tokio::test]
    async fn a_key_stands_for_its_own_workspace_even_when_another_has_the_slug_now() {
        let folder = tempfile::tempdir().unwrap();
        let lifecycle = lifecycle(folder.path()).await;
        let caller = caller(Some("key"));
        let (first, second) = (row("demo"), row("demo"));
        let operation = new_operation(OperationKind::Create, &caller, "digest");
        lifecycle.store.insert_workspace(&first, &operation).await.unwrap();
        let again = || async {
            let anew = std::future::pending();
            let key = caller.key("digest");
            lifecycle.once(key.as_ref(), |id| lifecycle.accepted_before(id), anew).await
        };
        let repeated = again().await.unwrap();
        assert_eq!(
            (repeated.workspace.runtime_id, repeated.operation.id),
            (first.runtime_id.clone(), operation.id)
        );

        remove(&lifecycle.store).await;
        let mut other = new_operation(OperationKind::Create, &caller, "digest");
        other.idempotency = None;
        lifecycle.store.insert_workspace(&second, &other).await.unwrap();
        let problem = again().await.unwrap_err();
        assert_eq!(problem.code, ErrorCode::IdempotencyConflict);
    }

    #[tokio::test]
    async fn the_same_change_asked_for_many_times_at_once_is_one_operation() {
        let folder = tempfile::tempdir().unwrap();
        let lifecycle = lifecycle(folder.path()).await;
        let caller = caller(None);
        let row = row("demo");
        let create = new_operation(OperationKind::Create, &caller, "");
        lifecycle.store.insert_workspace(&row, &create).await.unwrap();
        let name = row.slug.clone().into();
        let asked = (0..16).map(|_| lifecycle.delete(&name, &caller));
        let answers = futures_util::future::join_all(asked).await;
        let ids: std::collections::HashSet<_> =
            answers.into_iter().map(|answer| answer.unwrap().operation.id).collect();
        assert_eq!(ids.len(), 1);
    }

    #[tokio::test]
    async fn what_the_quicker_of_two_has_done_is_no_refusal_of_the_slower() {
        let folder = tempfile::tempdir().unwrap();
        let lifecycle = lifecycle(folder.path()).await;
        let (row, caller) = (row("demo"), caller(Some("key")));
        let create = new_operation(OperationKind::Create, &self::caller(None), "");
        lifecycle.store.insert_workspace(&row, &create).await.unwrap();
        let name = row.slug.clone().into();
        // Between the look at the key and the look at the workspace.
        let ask = async {
            let quicker = lifecycle.delete(&name, &caller).await.unwrap();
            assert_eq!(quicker.workspace.id, row.id);
            Err(not_found(&name))
        };
        let key = caller.key(&digest(OperationKind::Delete, &name));
        let slower = lifecycle.once(key.as_ref(), |id| lifecycle.accepted_before(id), ask).await.unwrap();
        assert_eq!(slower.operation.id, lifecycle.delete(&name, &caller).await.unwrap().operation.id);
    }

    #[tokio::test]
    async fn a_rename_sent_many_times_with_one_key_is_one_rename() {
        let folder = tempfile::tempdir().unwrap();
        let lifecycle = lifecycle(folder.path()).await;
        let row = row("before");
        let create = new_operation(OperationKind::Create, &caller(None), "");
        lifecycle.store.insert_workspace(&row, &create).await.unwrap();
        let (name, caller) = (row.slug.clone().into(), caller(Some("key")));
        let body = || RenameWorkspace { slug: "after".to_owned() };
        let answers =
            futures_util::future::join_all((0..8).map(|_| lifecycle.rename(&name, body(), &caller))).await;
        // The old name names nothing by now; the key still does.
        let later = lifecycle.rename(&name, body(), &caller).await;
        for renamed in answers.into_iter().chain([later]) {
            let renamed = renamed.unwrap();
            assert_eq!((renamed.id, renamed.slug.as_str()), (row.id.clone(), "after"));
        }
        let other = RenameWorkspace { slug: "other".to_owned() };
        let problem = lifecycle.rename(&row.id.into(), other, &caller).await.unwrap_err();
        assert_eq!(problem.code, ErrorCode::IdempotencyConflict);
    }
}
