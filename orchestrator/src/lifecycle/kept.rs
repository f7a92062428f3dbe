//! What is asked of workspaces that are deleted, and whose homes are kept.

use contracts::operation::OperationKind;
use contracts::workspace::{Accepted, Desired, RestoreWorkspace};
use contracts::{ErrorCode, Problem, WorkspaceRef};

use super::changes::new_operation;
use super::request;
use super::service::{Caller, Lifecycle, slug_taken};
use crate::store::{NewOperation, WorkspaceRow};

impl Lifecycle {
    /// Removes all of it, its home as well, also of one that was deleted and is kept.
    pub async fn purge(&self, name: &WorkspaceRef, caller: &Caller) -> Result<Accepted, Problem> {
        self.change(name, OperationKind::Purge, Some(Desired::Deleted), caller).await
    }

    /// Brings back one that was deleted, while its home is kept.
    pub async fn restore(
        &self,
        name: &WorkspaceRef,
        body: RestoreWorkspace,
        caller: &Caller,
    ) -> Result<Accepted, Problem> {
        let digest = format!("restore {name} {}", serde_json::to_string(&body).unwrap_or_default());
        let ask = async {
            let slug = body.slug.as_deref().map(request::slug).transpose()?;
            let row = self.one_kept(name).await?;
            let wanted = slug.clone().unwrap_or_else(|| row.slug.clone());
            let operation = NewOperation { slug, ..new_operation(OperationKind::Restore, caller, &digest) };
            match self.ask(name, &row, Some(Desired::Running), operation).await {
                Err(problem) if problem.code == ErrorCode::SlugTaken => Err(slug_taken(&wanted).with_action(
                    format!("`pilot ws restore {} --name NAME` brings it back under another.", row.id),
                )),
                answer => answer,
            }
        };
        self.once(caller.key(&digest).as_ref(), |id| self.accepted_before(id), ask).await
    }

    /// Of those that are deleted and kept.
    pub(super) async fn one_kept(&self, name: &WorkspaceRef) -> Result<WorkspaceRow, Problem> {
        let mut kept = self.store.kept(Some(name)).await?;
        if kept.len() > 1 {
            let ids: Vec<_> = kept.iter().map(|row| row.id.to_string()).collect();
            let detail = format!("Several deleted workspaces had the name {name}: {}.", ids.join(", "));
            return Err(Problem::new(ErrorCode::SlugTaken, detail)
                .with_action("Name one of them by its id: `pilot ws ls --deleted` shows them."));
        }
        kept.pop().ok_or_else(|| {
            let detail = format!("There is no workspace {name}, and none of that name is kept.");
            Problem::new(ErrorCode::WorkspaceNotFound, detail)
                .with_action("`pilot ws ls --deleted` lists those that can be restored.")
        })
    }
}
