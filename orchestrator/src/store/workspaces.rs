//! Rows of workspaces.

use std::collections::BTreeMap;

use contracts::egress::EgressAllow;
use contracts::snapshot::SnapshotWork;
use contracts::workspace::{Desired, Endpoint, GitSource, Image, Observed};
use contracts::{OperationId, Problem, ProviderName, RuntimeId, Slug, WorkspaceId, WorkspaceRef};
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use provider_api::Site;
use serde::Deserialize;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};
use utoipa::ToSchema;

use super::rows::{Columns, read, shown};
use super::{Result, Store, StoreError, to_json};

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
    /// `None` until it is known, and where instances have none of their own.
    pub image: Option<Image>,
    pub git: Option<GitSource>,
    /// The destinations that it reaches and nothing else; `None`: what its provider lets all reach.
    pub egress: Option<EgressAllow>,
    /// What its home begins with, until there is one.
    pub source: Option<SnapshotWork>,
    pub generation: u64,
    /// The generation that what is outside was made from; lower while an update has not come so far.
    pub applied: u64,
    /// At one of which places it is, where that is known. No part of what is shown: a change of it is none of the workspace.
    pub sites: Vec<Site>,
    /// Rises with every change of what is known of the runtime.
    pub revision: u64,
    pub desired: Desired,
    pub observed: Observed,
    pub since: Timestamp,
    pub endpoint: Option<Endpoint>,
    pub error: Option<Problem>,
    pub operation: Option<OperationId>,
    pub created_at: Timestamp,
    /// It is deleted, and its home is kept until then.
    pub home_until: Option<Timestamp>,
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
            image: None,
            git: None,
            egress: None,
            source: None,
            generation: 1,
            applied: 1,
            sites: Vec::new(),
            revision: 1,
            desired: Desired::Running,
            observed: Observed::Absent,
            since: now,
            endpoint: None,
            error: None,
            operation: None,
            created_at: now,
            home_until: None,
        }
    }
}

/// A workspace with its runtime.
const JOINED: &str =
    "SELECT w.id, w.slug, w.owner, w.labels, w.git, w.desired, w.runtime_id, w.operation, w.created_at, w.home_until,
     r.provider, r.size, r.region, r.image, r.egress, r.source, r.generation, r.applied, r.sites, r.revision, r.observed, r.since, r.endpoint, r.error
     FROM workspaces w JOIN runtimes r ON r.id = w.runtime_id";

/// Which workspaces, in which order, and how many.
#[derive(Debug, Clone, Default)]
pub struct WorkspaceQuery {
    pub owner: Option<String>,
    pub state: Option<Observed>,
    pub provider: Option<String>,
    /// All of them.
    pub labels: Vec<(String, String)>,
    /// Those that are deleted, and whose homes are kept.
    pub deleted: bool,
    pub sort: Sort,
    /// Only those behind this place: what a page has given as the next.
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
    /// Where the page behind this row begins, whether it can be read or not.
    fn cursor(self, row: &AnyRow) -> Result<String> {
        let columns = Columns(row);
        match self {
            // Of those that are deleted, several had one.
            Sort::Slug => Ok(format!("{}~{}", columns.text("slug")?, columns.text("id")?)),
            Sort::Oldest | Sort::Newest => {
                Ok(format!("{}~{}", columns.text("created_at")?, columns.text("id")?))
            }
        }
    }
}

pub(super) fn joined(rest: &str) -> AssertSqlSafe<String> {
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
            "INSERT INTO runtimes (id, provider, size, region, image, generation, observed, since, created_at, source, egress)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(self.runtime_id.as_str())
        .bind(self.provider.as_str())
        .bind(&self.size)
        .bind(&self.region)
        .bind(self.image.as_ref().map(to_json).transpose()?)
        .bind(self.generation as i64)
        .bind(to_json(&self.observed)?)
        .bind(self.since.to_string())
        .bind(self.created_at.to_string())
        .bind(self.source.as_ref().map(to_json).transpose()?)
        .bind(self.egress.as_ref().map(to_json).transpose()?)
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
            WorkspaceRef::Slug(slug) => {
                sqlx::query(joined("WHERE w.slug = $1 AND w.deleted_at IS NULL")).bind(slug.as_str())
            }
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

    /// A page of them, in the order that is asked for, and where the next begins. What cannot be read is shown as failed.
    pub async fn workspaces_by(&self, query: &WorkspaceQuery) -> Result<(Vec<WorkspaceRow>, Option<String>)> {
        let label = |(name, value): &(String, String)| Ok(format!("{}:{}", to_json(name)?, to_json(value)?));
        let labels = query.labels.iter().map(label).collect::<Result<Vec<_>>>()?;
        let observed = query.state.as_ref().map(to_json).transpose()?;
        let (order, before) = match query.sort {
            Sort::Slug => ("w.slug, w.id", "(w.slug, w.id) > "),
            Sort::Oldest => ("w.created_at, w.id", "(w.created_at, w.id) > "),
            Sort::Newest => ("w.created_at DESC, w.id DESC", "(w.created_at, w.id) < "),
        };
        // Only what is asked for: so the databases see which index helps.
        let kind = if query.deleted { "w.home_until IS NOT NULL" } else { "w.deleted_at IS NULL" };
        let (mut given, mut filters) = (Vec::new(), vec![kind.to_owned()]);
        let mut filter = |text: &str, values: Vec<String>| {
            let numbers: Vec<_> = (1..=values.len()).map(|n| format!("${}", given.len() + n)).collect();
            filters.push(text.replace('?', &numbers.join(", ")));
            given.extend(values);
        };
        let filled = [
            ("w.owner = ?", query.owner.clone()),
            ("r.observed = ?", observed),
            ("r.provider = ?", query.provider.clone()),
        ];
        for (text, value) in filled {
            value.into_iter().for_each(|value| filter(text, vec![value]));
        }
        for label in labels {
            // Letter by letter; a pattern would not be.
            filter("replace(w.labels, ?, '') <> w.labels", vec![label]);
        }
        if let Some(after) = &query.after {
            let is_time = |text: &str| text.parse::<Timestamp>().is_ok();
            let fits = |(first, _): &(&str, &str)| is_time(first) == (query.sort != Sort::Slug);
            match after.split_once('~').filter(fits) {
                Some((at, id)) => filter(&format!("{before}(?)"), vec![at.to_owned(), id.to_owned()]),
                None => return Err(StoreError::Cursor),
            }
        }
        let most = i64::from(query.most);
        // One more than is shown tells whether there is another page.
        let (filters, last) = (filters.join(" AND "), most + 1);
        let statement = format!("{JOINED} WHERE {filters} ORDER BY {order} LIMIT {last}");
        let mut rows = sqlx::query(AssertSqlSafe(statement));
        for value in given {
            rows = rows.bind(value);
        }
        let rows = rows.fetch_all(self.database.pool()).await?;
        let next = match rows.len() as i64 > most {
            true => rows
                .get(query.most.saturating_sub(1) as usize)
                .map(|row| query.sort.cursor(row))
                .transpose()?,
            false => None,
        };
        Ok((rows.iter().take(query.most as usize).filter_map(shown).collect(), next))
    }

    pub async fn workspaces(&self) -> Result<Vec<WorkspaceRow>> {
        let query = sqlx::query(joined("WHERE w.deleted_at IS NULL ORDER BY w.slug"));
        // One after the other: of many, the database's rows are not there beside ours.
        let rows = query.fetch(self.database.pool()).try_filter_map(|row| async move { Ok(shown(&row)) });
        Ok(rows.try_collect().await?)
    }
}
