//! Rows of workspaces.

use contracts::operation::Operation;
use contracts::workspace::{Desired, Endpoint, GitSource, Observed};
use contracts::{OperationId, Problem, ProviderName, RuntimeId, Slug, WorkspaceId, WorkspaceRef};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::rows::{read, shown};
use super::{NewOperation, Result, Store, to_json};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceRow {
    pub id: WorkspaceId,
    pub runtime_id: RuntimeId,
    pub slug: Slug,
    pub provider: ProviderName,
    pub size: String,
    pub region: Option<String>,
    pub git: Option<GitSource>,
    pub generation: u64,
    pub desired: Desired,
    pub observed: Observed,
    pub since: Timestamp,
    pub endpoint: Option<Endpoint>,
    pub error: Option<Problem>,
    pub operation: Option<OperationId>,
    pub created_at: Timestamp,
}

impl WorkspaceRow {
    /// A workspace that was just asked for: nothing of it exists, and it is to run.
    pub fn new(slug: Slug, provider: ProviderName, size: String) -> Self {
        let now = Timestamp::now();
        Self {
            id: WorkspaceId::random(),
            runtime_id: RuntimeId::random(),
            slug,
            provider,
            size,
            region: None,
            git: None,
            generation: 1,
            desired: Desired::Running,
            observed: Observed::Absent,
            since: now,
            endpoint: None,
            error: None,
            operation: None,
            created_at: now,
        }
    }
}

/// What a step of an operation changes in its workspace's row. The row is read and written in one
/// transaction.
pub struct Change {
    pub observed: Observed,
    pub endpoint: Option<Endpoint>,
    pub error: Option<Problem>,
}

/// A workspace with its runtime.
macro_rules! joined {
    () => {
        "SELECT w.id, w.slug, w.git, w.desired, w.runtime_id, w.operation, w.created_at, r.provider, r.size, r.region,
         r.generation, r.observed, r.since, r.endpoint, r.error
         FROM workspaces w JOIN runtimes r ON r.id = w.runtime_id"
    };
}

impl Store {
    /// The workspace and its create operation, in one commit.
    pub async fn insert_workspace(&self, row: &WorkspaceRow, operation: &NewOperation) -> Result<Operation> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query(
            "INSERT INTO runtimes (id, provider, size, region, generation, observed, since, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(row.runtime_id.as_str())
        .bind(row.provider.as_str())
        .bind(&row.size)
        .bind(&row.region)
        .bind(row.generation as i64)
        .bind(to_json(&row.observed)?)
        .bind(row.since.to_string())
        .bind(row.created_at.to_string())
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "INSERT INTO workspaces (id, slug, git, desired, runtime_id, operation, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(row.id.as_str())
        .bind(row.slug.as_str())
        .bind(row.git.as_ref().map(to_json).transpose()?)
        .bind(to_json(&row.desired)?)
        .bind(row.runtime_id.as_str())
        .bind(operation.id.as_str())
        .bind(row.created_at.to_string())
        .execute(&mut *transaction)
        .await?;
        let operation = operation.insert(&mut transaction).await?;
        transaction.commit().await?;
        Ok(operation)
    }

    /// A new operation of an existing workspace and what it is for, in one commit.
    pub async fn request_change(
        &self,
        runtime: &RuntimeId,
        desired: Desired,
        new: &NewOperation,
    ) -> Result<Operation> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("UPDATE workspaces SET desired = ?, operation = ? WHERE runtime_id = ?")
            .bind(to_json(&desired)?)
            .bind(new.id.as_str())
            .bind(runtime.as_str())
            .execute(&mut *transaction)
            .await?;
        let operation = new.insert(&mut transaction).await?;
        transaction.commit().await?;
        Ok(operation)
    }

    pub async fn workspace(&self, name: &WorkspaceRef) -> Result<Option<WorkspaceRow>> {
        self.named(name).await?.as_ref().map(read).transpose()
    }

    /// As [`Store::workspaces`] has it: also one that cannot be read.
    pub async fn workspace_shown(&self, name: &WorkspaceRef) -> Result<Option<WorkspaceRow>> {
        Ok(self.named(name).await?.as_ref().and_then(shown))
    }

    async fn named(&self, name: &WorkspaceRef) -> Result<Option<SqliteRow>> {
        let query = match name {
            WorkspaceRef::Id(id) => sqlx::query(concat!(joined!(), " WHERE w.id = ?")).bind(id.as_str()),
            WorkspaceRef::Slug(slug) => {
                sqlx::query(concat!(joined!(), " WHERE w.slug = ?")).bind(slug.as_str())
            }
        };
        Ok(query.fetch_optional(&self.pool).await?)
    }

    pub async fn workspace_of(&self, runtime: &RuntimeId) -> Result<Option<WorkspaceRow>> {
        let row = sqlx::query(concat!(joined!(), " WHERE r.id = ?")).bind(runtime.as_str());
        row.fetch_optional(&self.pool).await?.as_ref().map(read).transpose()
    }

    pub async fn workspaces(&self) -> Result<Vec<WorkspaceRow>> {
        let rows = sqlx::query(concat!(joined!(), " ORDER BY w.slug")).fetch_all(&self.pool).await?;
        Ok(rows.iter().filter_map(shown).collect())
    }

    /// Moves a workspace from the state the caller saw to the next; false when another was faster.
    pub async fn observe(&self, runtime: &RuntimeId, seen: Observed, change: &Change) -> Result<bool> {
        let changed = sqlx::query(
            "UPDATE runtimes SET since = CASE WHEN observed = ?1 THEN since ELSE ?2 END, observed = ?1,
             endpoint = ?3, error = ?4 WHERE id = ?5 AND observed = ?6",
        )
        .bind(to_json(&change.observed)?)
        .bind(Timestamp::now().to_string())
        .bind(change.endpoint.as_ref().map(to_json).transpose()?)
        .bind(change.error.as_ref().map(to_json).transpose()?)
        .bind(runtime.as_str())
        .bind(to_json(&seen)?)
        .execute(&self.pool)
        .await?;
        Ok(changed.rows_affected() == 1)
    }

    /// The last step of a delete.
    pub async fn remove_workspace(&self, runtime: &RuntimeId) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        for statement in ["DELETE FROM workspaces WHERE runtime_id = ?", "DELETE FROM runtimes WHERE id = ?"]
        {
            sqlx::query(statement).bind(runtime.as_str()).execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }
}
