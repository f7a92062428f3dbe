//! Rows of operations.

use contracts::operation::{Operation, OperationKind, OperationState, Phase, Phases};
use contracts::{OperationId, Problem, RuntimeId, Slug};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

use super::workspaces::name;
use super::{Result, Store, from_json, optional, to_json};

/// An operation to be accepted.
#[derive(Debug, Clone)]
pub struct NewOperation {
    pub id: OperationId,
    pub kind: OperationKind,
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
            slug: self.slug.clone(),
            runtime_id: self.runtime_id.clone(),
            state: OperationState::Queued,
            phases,
            error: None,
            request_id: self.request_id.clone(),
        };
        sqlx::query(
            "INSERT INTO operations (id, kind, runtime_id, slug, state, phases, error, request_id, idempotency_key,
             request_digest) VALUES (?, ?, ?, ?, 'queued', ?, NULL, ?, ?, ?)",
        )
        .bind(operation.id.as_str())
        .bind(to_json(&operation.kind)?)
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
        row.fetch_optional(&self.pool).await?.map(read).transpose()
    }

    /// The operation that an idempotency key was used for, and the digest of that request.
    pub async fn operation_of_key(&self, key: &str) -> Result<Option<(Operation, String)>> {
        let row = sqlx::query("SELECT * FROM operations WHERE idempotency_key = ?").bind(key);
        let Some(row) = row.fetch_optional(&self.pool).await? else { return Ok(None) };
        let digest = row.try_get::<Option<String>, _>("request_digest")?.unwrap_or_default();
        Ok(Some((read(row)?, digest)))
    }

    /// Accepted and not ended, oldest first: what a restarted orchestrator must finish.
    pub async fn unfinished_operations(&self) -> Result<Vec<Operation>> {
        let query = sqlx::query("SELECT * FROM operations WHERE state IN ('queued', 'running') ORDER BY id");
        query.fetch_all(&self.pool).await?.into_iter().map(read).collect()
    }

    pub async fn unfinished_of(&self, runtime: &RuntimeId) -> Result<Vec<Operation>> {
        let query = sqlx::query(
            "SELECT * FROM operations WHERE runtime_id = ? AND state IN ('queued', 'running') ORDER BY id",
        );
        query.bind(runtime.as_str()).fetch_all(&self.pool).await?.into_iter().map(read).collect()
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

fn read(row: SqliteRow) -> Result<Operation> {
    let text = |column: &str| row.try_get::<String, _>(column);
    Ok(Operation {
        id: name(text("id")?)?,
        kind: from_json(&text("kind")?)?,
        slug: name(text("slug")?)?,
        runtime_id: name(text("runtime_id")?)?,
        state: from_json(&format!("\"{}\"", text("state")?))?,
        phases: from_json(&text("phases")?)?,
        error: optional(row.try_get::<Option<String>, _>("error")?)?,
        request_id: text("request_id")?,
    })
}
