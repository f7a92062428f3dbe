//! Who asked for what.

use contracts::WorkspaceId;
use contracts::why::Asked;
use jiff::Timestamp;
use sqlx::AnyConnection;

use super::rows::Columns;
use super::{Result, Store, StoreError};

impl Store {
    /// The newest first.
    pub async fn asked(&self, workspace: &WorkspaceId, most: u32) -> Result<Vec<Asked>> {
        let rows = sqlx::query(
            "SELECT at, principal, action, operation_id, request_id FROM audit WHERE workspace_id = $1
             ORDER BY sequence DESC LIMIT $2",
        );
        let rows =
            rows.bind(workspace.as_str()).bind(i64::from(most)).fetch_all(self.database.pool()).await?;
        let read = |row| {
            let row = Columns(row);
            let at = Timestamp::from_millisecond(row.number("at")?);
            Ok(Asked {
                at: at.map_err(|error| StoreError::Damaged(format!("the column at: {error}")))?,
                principal: row.text("principal")?,
                action: row.text("action")?,
                operation: row.text("operation_id")?.parse().ok(),
                request_id: row.text("request_id")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Who asked, and with which request, for what.
    pub(super) async fn note(
        &self,
        connection: &mut AnyConnection,
        (workspace, slug): (&str, &str),
        action: &str,
        operation: &str,
        (principal, request_id): (&str, &str),
    ) -> Result<()> {
        let now = self.now(connection).await?;
        sqlx::query(
            "INSERT INTO audit (at, principal, action, workspace_id, slug, operation_id, request_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(now)
        .bind(principal)
        .bind(action)
        .bind(workspace)
        .bind(slug)
        .bind(operation)
        .bind(request_id)
        .execute(connection)
        .await?;
        Ok(())
    }
}
