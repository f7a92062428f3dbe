//! Rows of workspaces.

use std::collections::BTreeMap;

use contracts::workspace::{Desired, Endpoint, GitSource, Observed};
use contracts::{OperationId, Problem, ProviderName, RuntimeId, Slug, WorkspaceId, WorkspaceRef};
use jiff::Timestamp;
use serde::Deserialize;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};
use utoipa::ToSchema;

use super::rows::{read, shown};
use super::{Result, Store, to_json};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceRow {
    pub id: WorkspaceId,
    pub runtime_id: RuntimeId,
    pub slug: Slug,
    /// Whose it is; empty where nobody was named.
    pub owner: String,
    pub labels: BTreeMap<String, String>,
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
            labels: BTreeMap::new(),
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
const JOINED: &str =
    "SELECT w.id, w.slug, w.owner, w.labels, w.git, w.desired, w.runtime_id, w.operation, w.created_at,
     r.provider, r.size, r.region, r.generation, r.revision, r.observed, r.since, r.endpoint, r.error
     FROM workspaces w JOIN runtimes r ON r.id = w.runtime_id";

/// Which workspaces, in which order, and how many.
#[derive(Debug, Clone, Default)]
pub struct WorkspaceQuery {
    pub owner: Option<String>,
    pub state: Option<Observed>,
    pub provider: Option<String>,
    pub label: Option<(String, String)>,
    pub sort: Sort,
    /// Only those behind this one: its slug, or its time, by the order.
    pub after: Option<String>,
    pub most: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    #[default]
    Slug,
    Oldest,
    Newest,
}

impl Sort {
    /// Where the page behind this workspace begins.
    pub fn cursor(self, row: &WorkspaceRow) -> String {
        match self {
            Sort::Slug => row.slug.to_string(),
            Sort::Oldest | Sort::Newest => row.created_at.to_string(),
        }
    }
}

/// Text that means itself in a pattern.
fn literal(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

fn joined(rest: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("{JOINED} {rest}"))
}

impl WorkspaceRow {
    /// Another one after each change of what is shown of it.
    pub fn tag(&self) -> String {
        let operation = self.operation.as_ref().map(OperationId::as_str).unwrap_or_default();
        format!("{}.{}.{operation}.{:?}", self.slug, self.revision, self.desired).to_lowercase()
    }

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
            "INSERT INTO workspaces (id, slug, owner, labels, git, desired, runtime_id, operation, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(self.id.as_str())
        .bind(self.slug.as_str())
        .bind(&self.owner)
        .bind(to_json(&self.labels)?)
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
            WorkspaceRef::Id(id) => sqlx::query(joined("WHERE w.id = $1")).bind(id.as_str()),
            WorkspaceRef::Slug(slug) => sqlx::query(joined("WHERE w.slug = $1")).bind(slug.as_str()),
        };
        Ok(query.fetch_optional(self.database.pool()).await?)
    }

    pub async fn workspace_of(&self, runtime: &RuntimeId) -> Result<Option<WorkspaceRow>> {
        let row = sqlx::query(joined("WHERE r.id = $1")).bind(runtime.as_str());
        row.fetch_optional(self.database.pool()).await?.as_ref().map(read).transpose()
    }

    pub(super) async fn workspace_in(
        &self,
        connection: &mut AnyConnection,
        id: &WorkspaceId,
    ) -> Result<Option<WorkspaceRow>> {
        let row = sqlx::query(joined("WHERE w.id = $1")).bind(id.as_str());
        row.fetch_optional(connection).await?.as_ref().map(read).transpose()
    }

    /// A page of them, in the order that is asked for. What cannot be read is shown as failed.
    pub async fn workspaces_by(&self, query: &WorkspaceQuery) -> Result<Vec<WorkspaceRow>> {
        let any = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let label = match &query.label {
            Some((name, value)) => format!("%{}:{}%", literal(&to_json(name)?), literal(&to_json(value)?)),
            None => String::new(),
        };
        let (before, order) = match query.sort {
            Sort::Slug => ("w.slug > $6", "w.slug"),
            Sort::Oldest => ("w.created_at > $6", "w.created_at"),
            Sort::Newest => ("w.created_at < $6", "w.created_at DESC"),
        };
        let statement = format!(
            "{JOINED} WHERE ($1 = '' OR w.owner = $1) AND ($2 = '' OR r.observed = $2) AND ($3 = '' OR r.provider = $3)
             AND ($4 = '' OR w.labels LIKE $4 ESCAPE '!') AND ($5 = '' OR {before}) ORDER BY {order} LIMIT $7"
        );
        let observed = query.state.as_ref().map(to_json).transpose()?.unwrap_or_default();
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(any(query.owner.as_deref()))
            .bind(observed)
            .bind(any(query.provider.as_deref()))
            .bind(label)
            .bind(any(query.after.as_deref()))
            .bind(any(query.after.as_deref()))
            .bind(i64::from(query.most));
        Ok(rows.fetch_all(self.database.pool()).await?.iter().filter_map(shown).collect())
    }

    pub async fn workspaces(&self) -> Result<Vec<WorkspaceRow>> {
        let rows = sqlx::query(joined("ORDER BY w.slug")).fetch_all(self.database.pool()).await?;
        Ok(rows.iter().filter_map(shown).collect())
    }
}
