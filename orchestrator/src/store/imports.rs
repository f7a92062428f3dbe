//! A state that takes the place of a stack's own: what has to be so before, and what is kept of it.

use contracts::operation::Operation;
use sqlx::AssertSqlSafe;

use super::keys::Key;
use super::operations::read;
use super::workspaces::WorkspaceRow;
use super::{Result, Store, StoreError};

impl Store {
    /// Notes who imports. `Busy` while an operation of the workspace has not ended, `Changed` where its tag is another than
    /// `if_match`.
    pub async fn begin_import(
        &self,
        row: &WorkspaceRow,
        (principal, request_id): (&str, &str),
        if_match: Option<&str>,
    ) -> Result<()> {
        let (store, row, if_match) = (self.clone(), row.clone(), if_match.map(str::to_owned));
        let (principal, request_id) = (principal.to_owned(), request_id.to_owned());
        self.write(move |connection| {
            Box::pin(async move {
                store.lock(connection, row.id.as_str()).await?;
                let now = store.workspace_in(connection, &row.id).await?.ok_or(StoreError::Gone)?;
                if if_match.is_some_and(|wanted| wanted != now.tag()) {
                    return Err(StoreError::Changed);
                }
                let select = format!(
                    "SELECT * FROM operations WHERE runtime_id = $1 AND state IN ('queued', 'running') ORDER BY id LIMIT 1{}",
                    store.database.locking()
                );
                let other = sqlx::query(AssertSqlSafe(select)).bind(row.runtime_id.as_str());
                if let Some(other) = other.fetch_optional(&mut *connection).await? {
                    let other = Operation { slug: Some(now.slug), ..read(&other)? };
                    return Err(StoreError::Busy(Box::new(other)));
                }
                store.note(connection, (row.id.as_str(), row.slug.as_str()), "import", "", (&principal, &request_id)).await
            })
        })
        .await
    }

    /// The import that was asked for with this key is done.
    pub async fn imported(&self, row: &WorkspaceRow, key: &Key) -> Result<()> {
        let (store, id, key) = (self.clone(), row.id.clone(), key.clone());
        self.write(move |connection| {
            Box::pin(async move { store.remember(connection, Some(&key), id.as_str()).await })
        })
        .await
    }
}
