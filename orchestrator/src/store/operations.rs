//! Rows of operations.

use std::time::Duration;

use contracts::operation::{Operation, OperationKind, OperationState};
use contracts::workspace::Desired;
use contracts::{OperationId, ProviderName, RuntimeId, Slug, WorkspaceId};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::database::Topic;
use super::requests::NewOperation;
use super::rows::Columns;
use super::{Result, Store, StoreError, to_json};

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    pub count: u32,
    pub since_last: Option<Duration>,
}

/// How much there is to do, and how long the oldest has waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    pub queued: u64,
    pub running: u64,
    pub oldest: Duration,
}

/// Which operations, and how many: the newest first.
#[derive(Debug, Clone, Default)]
pub struct Query {
    pub workspace: Option<WorkspaceId>,
    pub state: Option<OperationState>,
    pub kind: Option<OperationKind>,
    pub owner: Option<String>,
    /// Only those that are older than this one.
    pub before: Option<OperationId>,
    pub most: u32,
}

impl Store {
    pub async fn operation(&self, id: &OperationId) -> Result<Option<Operation>> {
        let row = sqlx::query("SELECT * FROM operations WHERE id = $1").bind(id.as_str());
        row.fetch_optional(self.database.pool()).await?.as_ref().map(read).transpose()
    }

    /// A page of them, and the last of it where there is another. Those that can be read; the log has the others.
    pub async fn operations(&self, query: &Query) -> Result<(Vec<Operation>, Option<OperationId>)> {
        // Only what is asked for: so the databases see which index helps.
        let (mut given, mut filters) = (Vec::new(), Vec::new());
        for (text, value) in [
            ("workspace_id = ", query.workspace.as_ref().map(|id| id.as_str().to_owned())),
            ("state = ", query.state.map(|state| state.as_str().to_owned())),
            ("kind = ", query.kind.as_ref().map(to_json).transpose()?),
            ("owner = ", query.owner.clone()),
            ("id < ", query.before.as_ref().map(|id| id.as_str().to_owned())),
        ] {
            let Some(value) = value else { continue };
            given.push(value);
            filters.push(format!("{text}${}", given.len()));
        }
        let filters = match filters.is_empty() {
            true => String::new(),
            false => format!("WHERE {}", filters.join(" AND ")),
        };
        let last = u64::from(query.most) + 1;
        let statement = format!("SELECT * FROM operations {filters} ORDER BY id DESC LIMIT {last}");
        let mut rows = sqlx::query(AssertSqlSafe(statement));
        for value in given {
            rows = rows.bind(value);
        }
        let mut rows = rows.fetch_all(self.database.pool()).await?;
        let is_last = rows.len() <= query.most as usize;
        rows.truncate(query.most as usize);
        let next = rows.last().filter(|_| !is_last).map(|row| Columns(row).parsed("id")).transpose()?;
        Ok((readable(&rows), next))
    }

    /// What is to be done, in all processes.
    pub async fn queue(&self) -> Result<Queue> {
        let mut connection = self.database.pool().acquire().await?;
        let now = self.now(&mut connection).await?;
        let row = sqlx::query(
            "SELECT COUNT(CASE WHEN state = 'queued' THEN 1 END) AS queued,
             COUNT(CASE WHEN state = 'running' THEN 1 END) AS running,
             MIN(CASE WHEN state = 'queued' THEN accepted_at END) AS oldest
             FROM operations WHERE state IN ('queued', 'running')",
        );
        let row = row.fetch_one(&mut *connection).await?;
        let columns = Columns(&row);
        let oldest = columns.maybe_number("oldest")?.unwrap_or(now);
        Ok(Queue {
            queued: columns.number("queued")? as u64,
            running: columns.number("running")? as u64,
            oldest: Duration::from_millis(now.saturating_sub(oldest).max(0) as u64),
        })
    }

    /// Of a runtime: accepted and not ended, oldest first.
    pub async fn unfinished_of(&self, runtime: &RuntimeId) -> Result<Vec<Operation>> {
        let query = sqlx::query(
            "SELECT * FROM operations WHERE runtime_id = $1 AND state IN ('queued', 'running') ORDER BY id",
        );
        Ok(readable(&query.bind(runtime.as_str()).fetch_all(self.database.pool()).await?))
    }

    /// Whether the runtime worked before this operation of it: whether the last one that boots or changes it has succeeded.
    /// Where none is kept any more it worked, as nothing had to be done since.
    pub async fn worked_before(&self, operation: &Operation) -> Result<bool> {
        let mut kinds = Vec::new();
        for kind in [
            OperationKind::Create,
            OperationKind::Restore,
            OperationKind::Start,
            OperationKind::Resume,
            OperationKind::Restart,
            OperationKind::Update,
            OperationKind::Rewind,
        ] {
            kinds.push(to_json(&kind)?);
        }
        let state = sqlx::query_scalar::<_, String>(
            "SELECT state FROM operations WHERE runtime_id = $1 AND id < $2 AND kind IN ($3, $4, $5, $6, $7, $8, $9)
             ORDER BY id DESC LIMIT 1",
        );
        let mut state = state.bind(operation.runtime_id.as_str()).bind(operation.id.as_str());
        for kind in kinds {
            state = state.bind(kind);
        }
        let state = state.fetch_optional(self.database.pool()).await?;
        Ok(state.is_none_or(|state| state == OperationState::Succeeded.as_str()))
    }

    /// How often somebody has asked for this kind of operation of a runtime lately, and how long ago the last ended.
    pub async fn attempts_of(
        &self,
        runtime: &RuntimeId,
        kind: OperationKind,
        principal: &str,
        within: Duration,
    ) -> Result<Attempts> {
        let mut connection = self.database.pool().acquire().await?;
        let now = self.now(&mut connection).await?;
        let row = sqlx::query(
            "SELECT COUNT(*) AS count, MAX(o.finished_at) AS last FROM operations o JOIN audit a ON a.operation_id = o.id
             WHERE o.runtime_id = $1 AND o.kind = $2 AND a.principal = $3 AND o.accepted_at > $4",
        );
        let row = row
            .bind(runtime.as_str())
            .bind(to_json(&kind)?)
            .bind(principal)
            .bind(now - within.as_millis() as i64)
            .fetch_one(&mut *connection)
            .await?;
        let columns = Columns(&row);
        let count = u32::try_from(columns.number("count")?).unwrap_or(u32::MAX);
        let last = columns.maybe_number("last")?;
        let since_last = last.map(|last| Duration::from_millis(now.saturating_sub(last).max(0) as u64));
        Ok(Attempts { count, since_last })
    }

    /// What is to be done, the key that it was asked for with, and who asked.
    pub(super) async fn enqueue(
        &self,
        connection: &mut AnyConnection,
        operation: &Operation,
        owner: &str,
        before: Option<Desired>,
        new: &NewOperation,
    ) -> Result<()> {
        let now = self.now(connection).await?;
        let workspace = operation.workspace_id.as_ref().map(WorkspaceId::as_str).unwrap_or_default();
        let slug = operation.slug.as_ref().map(Slug::as_str).unwrap_or_default();
        let provider = operation.provider.as_ref().map(ProviderName::as_str).unwrap_or_default();
        sqlx::query(
            "INSERT INTO operations (id, kind, workspace_id, runtime_id, slug, owner, provider, state, phases, request_id,
             desired_before, accepted_at, changes, traceparent, snapshot)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        )
        .bind(operation.id.as_str())
        .bind(to_json(&operation.kind)?)
        .bind(workspace)
        .bind(operation.runtime_id.as_str())
        .bind(slug)
        .bind(owner)
        .bind(provider)
        .bind(operation.state.as_str())
        .bind(to_json(&operation.phases)?)
        .bind(&operation.request_id)
        .bind(before.as_ref().map(to_json).transpose()?)
        .bind(now)
        .bind(operation.update.as_ref().map(to_json).transpose()?)
        .bind(new.traceparent.as_deref())
        .bind(operation.snapshot.as_ref().map(to_json).transpose()?)
        .execute(&mut *connection)
        .await?;
        self.remember(connection, new.key().as_ref(), new.id.as_str()).await?;
        let action = to_json(&new.kind)?;
        let asked = (new.principal.as_str(), new.request_id.as_str());
        self.note(connection, (workspace, slug), action.trim_matches('"'), new.id.as_str(), asked).await?;
        self.database.tell(connection, Topic::Work, new.id.as_str()).await
    }
}

pub(super) fn read(row: &AnyRow) -> Result<Operation> {
    let row = Columns(row);
    let state = format!("\"{}\"", row.text("state")?);
    Ok(Operation {
        id: row.parsed("id")?,
        kind: row.json("kind")?,
        workspace_id: row.parsed_unless_empty("workspace_id")?,
        slug: row.parsed_unless_empty("slug")?,
        runtime_id: row.parsed("runtime_id")?,
        provider: row.parsed_unless_empty("provider")?,
        state: serde_json::from_str(&state)
            .map_err(|error| StoreError::Damaged(format!("the column state: {error}")))?,
        phases: row.json("phases")?,
        update: row.maybe_json("changes")?,
        snapshot: row.maybe_json("snapshot")?,
        error: row.maybe_json("error")?,
        request_id: row.text("request_id")?,
    })
}

/// Those that can be read; the log has the others.
fn readable(rows: &[AnyRow]) -> Vec<Operation> {
    let skipped = |error: &StoreError| tracing::error!(%error, "an operation's record cannot be read");
    rows.iter().filter_map(|row| read(row).inspect_err(skipped).ok()).collect()
}
