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
use crate::operations::home;
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
            if !self.providers.serving(&row)?.suspends(&row.size) {
                let detail = format!(
                    "The provider {} cannot suspend workspaces of the size {}.",
                    row.provider, row.size
                );
                let other = match self.providers.serving(&row)?.capabilities().hibernate {
                    true => format!(
                        "`pilot ws hibernate {}` keeps its disk alone, and a visit boots it",
                        row.slug
                    ),
                    false => format!("`pilot ws stop {}` stops it", row.slug),
                };
                let action = format!("{other}; `pilot provider ls` shows who can.");
                return Err(Problem::new(ErrorCode::CapabilityUnsupported, detail).with_action(action));
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

    /// Gives memory and processors back until somebody wants to use it, where the home outlives that.
    pub async fn hibernate(&self, name: &WorkspaceRef, caller: &Caller) -> Result<Accepted, Problem> {
        let digest = digest(OperationKind::Hibernate, name);
        let ask = async {
            let row = self.row(name).await?;
            if !self.providers.serving(&row)?.capabilities().hibernate {
                let detail =
                    format!("On the provider {} no files outlive the end of an instance.", row.provider);
                return Err(Problem::new(ErrorCode::CapabilityUnsupported, detail).with_action(format!(
                    "`pilot ws stop {}` stops it all the same; `pilot provider ls` shows who keeps files.",
                    row.slug
                )));
            }
            let operation = new_operation(OperationKind::Hibernate, caller, &digest);
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
            let provider = self.providers.serving(&row)?;
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
            // Who only looks at it begins nothing anew.
            Desired::Suspended if row.home_is_gone() => return Err(home::gone(&row)),
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
                    match self.one_kept(name).await {
                        // Neither: what is there is the shorter list.
                        Err(none) if none.code == ErrorCode::WorkspaceNotFound => return Err(problem),
                        kept => kept?,
                    }
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

    pub(super) async fn accepted(
        &self,
        name: &WorkspaceRef,
        operation: Operation,
    ) -> Result<Accepted, Problem> {
        Ok(Accepted { workspace: self.get(name).await?, operation })
    }
}

pub(super) fn new_row(valid: ValidCreate) -> WorkspaceRow {
    WorkspaceRow {
        region: valid.region,
        git: valid.git,
        egress: valid.egress,
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
mod tests;
