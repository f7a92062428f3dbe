//! Rows of operations.

use contracts::operation::{Operation, OperationKind, OperationState, Phase, Phases};
use contracts::{OperationId, Problem, RuntimeId, Slug, WorkspaceId};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

use super::rows::Columns;
use super::{Result, Store, StoreError, to_json};

/// An operation to be accepted.
#[derive(Debug, Clone)]
pub struct NewOperation {
    pub id: OperationId,
    pub kind: OperationKind,
    pub workspace_id: WorkspaceId,
    pub runtime_id: RuntimeId,
    pub slug: Slug,
    pub request_id: String,
    /// The client's key, and a digest of what it asked for with it.
    pub idempotency: Option<(String, String)>,
}

impl NewOperation {
    pub(super) async fn insert(&self, transaction: &mut Transaction<'_, Sqlite>) -> Result<Operation> {
        let mut phases = Phases::default();
        phases.reach(Phase::Queued, Timestamp::now());
        let operation = Operation {
            id: self.id.clone(),
            kind: self.kind,
            workspace_id: self.workspace_id.clone(),
            slug: self.slug.clone(),
            runtime_id: self.runtime_id.clone(),
            state: OperationState::Queued,
            phases,
            error: None,
            request_id: self.request_id.clone(),
        };
        sqlx::query(
            "INSERT INTO operations (id, kind, workspace_id, runtime_id, slug, state, phases, error, request_id,
             idempotency_key, request_digest) VALUES (?, ?, ?, ?, ?, 'queued', ?, NULL, ?, ?, ?)",
        )
        .bind(operation.id.as_str())
        .bind(to_json(&operation.kind)?)
        .bind(operation.workspace_id.as_str())
        .bind(operation.runtime_id.as_str())
        .bind(operation.slug.as_str())
        .bind(to_json(&operation.phases)?)
        .bind(&operation.request_id)
        .bind(self.idempotency.as_ref().map(|(key, _)| key))
        .bind(self.idempotency.as_ref().map(|(_, digest)| digest))
        .execute(&mut **transaction)
        .await?;
        Ok(operation)
    }
}

impl Store {
    pub async fn operation(&self, id: &OperationId) -> Result<Option<Operation>> {
        let row = sqlx::query("SELECT * FROM operations WHERE id = ?").bind(id.as_str());
        row.fetch_optional(&self.pool).await?.as_ref().map(read).transpose()
    }

    /// The operation that an idempotency key was used for, and the digest of that request.
    pub async fn operation_of_key(&self, key: &str) -> Result<Option<(Operation, String)>> {
        let row = sqlx::query("SELECT * FROM operations WHERE idempotency_key = ?").bind(key);
        let Some(row) = row.fetch_optional(&self.pool).await? else { return Ok(None) };
        let digest = row.try_get::<Option<String>, _>("request_digest")?.unwrap_or_default();
        Ok(Some((read(&row)?, digest)))
    }

    /// Accepted and not ended, oldest first: what a restarted orchestrator must finish.
    pub async fn unfinished_operations(&self) -> Result<Vec<Operation>> {
        let query = sqlx::query("SELECT * FROM operations WHERE state IN ('queued', 'running') ORDER BY id");
        Ok(readable(&query.fetch_all(&self.pool).await?))
    }

    pub async fn unfinished_of(&self, runtime: &RuntimeId) -> Result<Vec<Operation>> {
        let query = sqlx::query(
            "SELECT * FROM operations WHERE runtime_id = ? AND state IN ('queued', 'running') ORDER BY id",
        );
        Ok(readable(&query.bind(runtime.as_str()).fetch_all(&self.pool).await?))
    }

    /// How often an operation of this kind has failed on the runtime.
    pub async fn failures_of(&self, runtime: &RuntimeId, kind: OperationKind) -> Result<u32> {
        let count = sqlx::query_scalar::<_, u32>(
            "SELECT COUNT(*) FROM operations WHERE runtime_id = ? AND kind = ? AND state = 'failed'",
        );
        Ok(count.bind(runtime.as_str()).bind(to_json(&kind)?).fetch_one(&self.pool).await?)
    }

    /// Writes state, phases and error as they are now.
    pub async fn save_operation(&self, operation: &Operation) -> Result<()> {
        sqlx::query("UPDATE operations SET state = ?, phases = ?, error = ? WHERE id = ?")
            .bind(state_name(operation.state))
            .bind(to_json(&operation.phases)?)
            .bind(operation.error.as_ref().map(to_json::<Problem>).transpose()?)
            .bind(operation.id.as_str())
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

/// Without JSON quotes, because the schema's index and the queries above name states.
fn state_name(state: OperationState) -> &'static str {
    match state {
        OperationState::Queued => "queued",
        OperationState::Running => "running",
        OperationState::Succeeded => "succeeded",
        OperationState::Failed => "failed",
        OperationState::Canceled => "canceled",
    }
}

fn read(row: &SqliteRow) -> Result<Operation> {
    let row = Columns(row);
    let state = format!("\"{}\"", row.text("state")?);
    Ok(Operation {
        id: row.parsed("id")?,
        kind: row.json("kind")?,
        workspace_id: row.parsed("workspace_id")?,
        slug: row.parsed("slug")?,
        runtime_id: row.parsed("runtime_id")?,
        state: serde_json::from_str(&state)
            .map_err(|error| StoreError::Damaged(format!("the column state: {error}")))?,
        phases: row.json("phases")?,
        error: row.maybe_json("error")?,
        request_id: row.text("request_id")?,
    })
}

/// Those that can be read; the log has the others.
fn readable(rows: &[SqliteRow]) -> Vec<Operation> {
    let skipped = |error: &StoreError| tracing::error!(%error, "an operation's record cannot be read");
    rows.iter().filter_map(|row| read(row).inspect_err(skipped).ok()).collect()
}
