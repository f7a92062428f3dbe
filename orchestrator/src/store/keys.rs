//! What a client's key was used for: the same request again is answered as the first.

use contracts::operation::Operation;
use sqlx::AnyConnection;

use super::operations::read;
use super::rows::Columns;
use super::{Result, Store};

/// A key of somebody, and a digest of what was asked for with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub principal: String,
    pub key: String,
    pub digest: String,
}

impl Store {
    /// What the key stands for from now on: the id of what was made or changed. `KeyTaken` when it was used.
    pub(super) async fn remember(
        &self,
        connection: &mut AnyConnection,
        key: Option<&Key>,
        id: &str,
    ) -> Result<()> {
        let Some(key) = key else { return Ok(()) };
        let now = self.now(connection).await?;
        sqlx::query(
            "INSERT INTO keys (principal, key, digest, operation_id, used_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&key.principal)
        .bind(&key.key)
        .bind(&key.digest)
        .bind(id)
        .bind(now)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// The id that a key of somebody stands for, and the digest of that request.
    pub async fn key(&self, principal: &str, key: &str) -> Result<Option<(String, String)>> {
        let row = sqlx::query("SELECT operation_id, digest FROM keys WHERE principal = $1 AND key = $2");
        let row = row.bind(principal).bind(key).fetch_optional(self.database.pool()).await?;
        row.map(|row| Ok((Columns(&row).text("operation_id")?, Columns(&row).text("digest")?))).transpose()
    }

    /// The operation that a key of somebody was used for, and the digest of that request.
    pub async fn operation_of_key(&self, principal: &str, key: &str) -> Result<Option<(Operation, String)>> {
        let row = sqlx::query(
            "SELECT o.*, k.digest FROM keys k JOIN operations o ON o.id = k.operation_id WHERE k.principal = $1 AND k.key = $2",
        );
        let row = row.bind(principal).bind(key).fetch_optional(self.database.pool()).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((read(&row)?, Columns(&row).text("digest")?)))
    }
}
