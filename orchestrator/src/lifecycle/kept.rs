//! What is asked of workspaces that are deleted, and whose homes are kept.

use contracts::operation::OperationKind;
use contracts::workspace::{Accepted, Desired, RestoreWorkspace};
use contracts::{ErrorCode, Problem, WorkspaceRef};

use super::changes::new_operation;
use super::keys::digest;
use super::request;
use super::service::{Caller, Lifecycle, slug_taken};
use crate::store::{NewOperation, WorkspaceRow};

impl Lifecycle {
    /// Removes all of it, its home as well, also of one that was deleted and is kept.
    pub async fn purge(&self, name: &WorkspaceRef, caller: &Caller) -> Result<Accepted, Problem> {
        self.change(name, OperationKind::Purge, Some(Desired::Deleted), caller).await
    }

    /// Purges or forgets one that was deleted and is kept, and no other: one that has the name by now stays, and so does what was
    /// brought back since.
    pub async fn clear_kept(
        &self,
        name: &WorkspaceRef,
        kind: OperationKind,
        caller: &Caller,
    ) -> Result<Accepted, Problem> {
        let digest = format!("{} kept", digest(kind, name));
        let ask = async {
            let row = self.one_kept(name).await?;
            let operation = NewOperation { of_kept: true, ..new_operation(kind, caller, &digest) };
            match self.ask(name, &row, Some(Desired::Deleted), operation).await {
                Err(problem) if problem.code == ErrorCode::WorkspaceNotFound => Err(not_kept(name)),
                answer => answer,
            }
        };
        self.once(caller.key(&digest).as_ref(), |id| self.accepted_before(id), ask).await
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
            let until = |row: &WorkspaceRow| row.home_until.map(|at| format!(" (kept until {at:.0})"));
            let each = kept.iter().map(|row| format!("{}{}", row.id, until(row).unwrap_or_default()));
            let detail = format!(
                "{} workspaces that are deleted and kept had the name {name}: {}.",
                kept.len(),
                each.collect::<Vec<_>>().join(", ")
            );
            return Err(Problem::new(ErrorCode::NameAmbiguous, detail).with_action(
                "Say the same with the id of the one you mean. `pilot ws ls --deleted` lists them all.",
            ));
        }
        kept.pop().ok_or_else(|| not_kept(name))
    }
}

fn not_kept(name: &WorkspaceRef) -> Problem {
    let detail = format!("None of the deleted workspaces that are kept is {name}.");
    Problem::new(ErrorCode::WorkspaceNotFound, detail)
        .with_action("`pilot ws ls --deleted` lists those that are.")
}
