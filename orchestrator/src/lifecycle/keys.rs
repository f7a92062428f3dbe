//! A client's key makes of many requests one: whoever sends the same again gets the first answer.

use contracts::operation::OperationKind;
use contracts::workspace::{Accepted, Workspace};
use contracts::{ErrorCode, OperationId, Problem, WorkspaceId, WorkspaceRef};

use super::service::Lifecycle;
use crate::store::{Key, StoreError};

impl Lifecycle {
    /// What `ask` gives, or what the key was used for before: `again` makes the answer of that. The key counts more than any
    /// refusal: of two that were sent at once, the quicker may have done what the slower is refused for.
    pub(super) async fn once<T, A>(
        &self,
        key: Option<&Key>,
        again: impl Fn(String) -> A,
        ask: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem>
    where
        A: Future<Output = Result<T, Problem>>,
    {
        if let Some(id) = self.done_before(key).await? {
            return again(id).await;
        }
        let refusal = match ask.await {
            Err(problem) => problem,
            answer => return answer,
        };
        match self.done_before(key).await? {
            Some(id) => again(id).await,
            None => Err(refusal),
        }
    }

    /// The id that the key stands for, when it was used for this request.
    async fn done_before(&self, key: Option<&Key>) -> Result<Option<String>, Problem> {
        let Some(key) = key else { return Ok(None) };
        match self.store.key(&key.principal, &key.key).await? {
            Some((_, digest)) if digest != key.digest => Err(StoreError::KeyTaken.into()),
            found => Ok(found.map(|(id, _)| id)),
        }
    }

    /// The answer to a change that was accepted before.
    pub(super) async fn accepted_before(&self, id: String) -> Result<Accepted, Problem> {
        let operation = match id.parse::<OperationId>() {
            Ok(id) => self.store.operation(&id).await?,
            Err(_) => None,
        };
        let operation = operation.ok_or(StoreError::KeyTaken)?;
        // By the runtime: another workspace may have the slug by now.
        let row = match self.store.workspace_of(&operation.runtime_id).await? {
            Some(row) => Some(row),
            // As it was: its record outlives it for a while.
            None => self.store.workspace_gone(&operation).await?,
        };
        let row = row.ok_or_else(|| {
            let detail = "The idempotency key was used for a workspace that was deleted long ago.";
            Problem::new(ErrorCode::IdempotencyConflict, detail).with_action("Use a new key.")
        })?;
        Ok(Accepted { workspace: self.view(row), operation })
    }

    /// The answer to a rename of before.
    pub(super) async fn renamed_before(&self, id: String) -> Result<Workspace, Problem> {
        let id: WorkspaceId = id.parse().map_err(|_| StoreError::KeyTaken)?;
        self.get(&id.into()).await
    }
}

/// Of a change that says nothing but which one it is.
pub(super) fn digest(kind: OperationKind, name: &WorkspaceRef) -> String {
    format!("{kind:?} {name}")
}
