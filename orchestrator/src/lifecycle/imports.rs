//! A state that takes the place of a workspace's own.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::stack::StackImport;
use contracts::{Problem, WorkspaceRef};
use serde_json::Value;

use super::service::{Caller, Lifecycle, not_found};
use crate::store::{Key, StoreError};

impl Lifecycle {
    /// Refused while an operation of the workspace has not ended. One that begins meanwhile finds the stack's lock taken, and
    /// then either state whole. The same key answers for the same state once, and does not undo what came after it.
    pub async fn import(
        &self,
        name: &WorkspaceRef,
        state: Value,
        caller: &Caller,
    ) -> Result<StackImport, Problem> {
        let sum = digest(&SHA256, state.to_string().as_bytes());
        let key = caller.key(&format!("import {name} {}", URL_SAFE_NO_PAD.encode(sum)));
        let resources = crate::engine::resources(&state);
        let again = |_| async move {
            let stack = self.compile(&self.row(name).await?)?;
            Ok(StackImport { stack: stack.name, resources, kept: None })
        };
        self.once(key.as_ref(), again, self.put_in(name, state, caller, key.as_ref())).await
    }

    async fn put_in(
        &self,
        name: &WorkspaceRef,
        state: Value,
        caller: &Caller,
        key: Option<&Key>,
    ) -> Result<StackImport, Problem> {
        let row = self.row(name).await?;
        let stack = self.compile(&row)?;
        let asked = (caller.principal.as_str(), caller.request_id.as_str());
        self.store.begin_import(&row, asked, caller.if_match.as_deref()).await.map_err(
            |error| match error {
                StoreError::Gone => not_found(name),
                error => error.into(),
            },
        )?;
        let imported = self.engine.import(&stack, state).await?;
        if let Some(key) = key {
            self.store.imported(&row, key).await?;
        }
        Ok(imported)
    }
}
