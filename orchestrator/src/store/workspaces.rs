//! Rows of workspaces.

use contracts::workspace::{Desired, Endpoint, GitSource, Observed};
use contracts::{OperationId, Problem, ProviderName, RuntimeId, Slug, WorkspaceId, WorkspaceRef};
use jiff::Timestamp;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::rows::{read, shown};
use super::{Result, Store, to_json};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceRow {
    pub id: WorkspaceId,
    pub runtime_id: RuntimeId,
    pub slug: Slug,
    /// Whose it is; empty where nobody was named.
    pub owner: String,
    pub provider: ProviderName,
    pub size: String,
    pub region: Option<String>,
    pub git: Option<GitSource>,
    pub generation: u64,
    /// Rises with every change of what is known of the runtime.
    pub revision: u64,
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
            owner: String::new(),
            provider,
            size,
            region: None,
            git: None,
            generation: 1,
            revision: 1,
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

/// A workspace with its runtime.
macro_rules! joined {
    () => {
        "SELECT w.id, w.slug, w.owner, w.git, w.desired, w.runtime_id, w.operation, w.created_at, r.provider, r.size, r.region,
         r.generation, r.revision, r.observed, r.since, r.endpoint, r.error
         FROM workspaces w JOIN runtimes r ON r.id = w.runtime_id"
    };
}

impl WorkspaceRow {
    pub(super) async fn insert(&self, connection: &mut AnyConnection, operation: &OperationId) -> Result<()> {
        sqlx::query(
            "INSERT INTO runtimes (id, provider, size, region, generation, observed, since, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(self.runtime_id.as_str())
        .bind(self.provider.as_str())
        .bind(&self.size)
        .bind(&self.region)
        .bind(self.generation as i64)
        .bind(to_json(&self.observed)?)
        .bind(self.since.to_string())
        .bind(self.created_at.to_string())
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "INSERT INTO workspaces (id, slug, owner, git, desired, runtime_id, operation, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(self.id.as_str())
        .bind(self.slug.as_str())
        .bind(&self.owner)
        .bind(self.git.as_ref().map(to_json).transpose()?)
        .bind(to_json(&self.desired)?)
        .bind(self.runtime_id.as_str())
        .bind(operation.as_str())
        .bind(self.created_at.to_string())
        .execute(connection)
        .await?;
        Ok(())
    }
}

impl Store {
    pub async fn workspace(&self, name: &WorkspaceRef) -> Result<Option<WorkspaceRow>> {
        self.named(name).await?.as_ref().map(read).transpose()
    }

    /// As [`Store::workspaces`] has it: also one that cannot be read.
    pub async fn workspace_shown(&self, name: &WorkspaceRef) -> Result<Option<WorkspaceRow>> {
        Ok(self.named(name).await?.as_ref().and_then(shown))
    }

    async fn named(&self, name: &WorkspaceRef) -> Result<Option<AnyRow>> {
        let query = match name {
            WorkspaceRef::Id(id) => sqlx::query(concat!(joined!(), " WHERE w.id = $1")).bind(id.as_str()),
            WorkspaceRef::Slug(slug) => {
                sqlx::query(concat!(joined!(), " WHERE w.slug = $1")).bind(slug.as_str())
            }
        };
        Ok(query.fetch_optional(self.database.pool()).await?)
    }

    pub async fn workspace_of(&self, runtime: &RuntimeId) -> Result<Option<WorkspaceRow>> {
        let row = sqlx::query(concat!(joined!(), " WHERE r.id = $1")).bind(runtime.as_str());
        row.fetch_optional(self.database.pool()).await?.as_ref().map(read).transpose()
    }

    pub(super) async fn workspace_in(
        &self,
        connection: &mut AnyConnection,
        id: &WorkspaceId,
    ) -> Result<Option<WorkspaceRow>> {
        let row = sqlx::query(concat!(joined!(), " WHERE w.id = $1")).bind(id.as_str());
        row.fetch_optional(connection).await?.as_ref().map(read).transpose()
    }

    pub async fn workspaces(&self) -> Result<Vec<WorkspaceRow>> {
        let rows =
            sqlx::query(concat!(joined!(), " ORDER BY w.slug")).fetch_all(self.database.pool()).await?;
        Ok(rows.iter().filter_map(shown).collect())
    }
}
