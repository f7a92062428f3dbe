//! What ran, added up.

use std::time::Duration;

use contracts::{ProviderName, Slug, WorkspaceId};
use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::rows::Columns;
use super::{Result, Store, StoreError};

/// Whose usage, and of which time.
#[derive(Debug, Clone, Default)]
pub struct UsageQuery {
    pub from: Option<Timestamp>,
    /// What runs has run until now, or until then where that is earlier.
    pub to: Option<Timestamp>,
    pub owner: Option<String>,
    pub workspace: Option<WorkspaceId>,
    /// Only what is behind this place: what a page has given as the next.
    pub after: Option<String>,
    pub most: u32,
}

/// How long instances of one workspace ran, while it was of one owner and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    pub workspace: WorkspaceId,
    /// Gone with the workspace's record.
    pub slug: Option<Slug>,
    pub owner: String,
    pub provider: ProviderName,
    pub size: String,
    pub ran: Duration,
}

/// A page of usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsagePage {
    pub to: Timestamp,
    pub rows: Vec<UsageRow>,
    pub next: Option<String>,
}

/// What tells one line from another; also their order.
const KEY: &str = "u.workspace_id, u.owner, u.provider, u.size";

impl Store {
    /// `$1` to `$3` of the statement are the interval and now.
    pub async fn usage(&self, query: &UsageQuery) -> Result<UsagePage> {
        let mut connection = self.database.pool().acquire().await?;
        let now = self.now(&mut connection).await?;
        let (from, to) =
            (query.from.map_or(0, Timestamp::as_millisecond), query.to.map(Timestamp::as_millisecond));
        let to = to.unwrap_or(now);
        let mut given: Vec<String> = Vec::new();
        let mut filters = vec!["u.began < $2".to_owned(), "COALESCE(u.ended, $3) > $1".to_owned()];
        for (text, value) in [
            ("u.owner", query.owner.clone()),
            ("u.workspace_id", query.workspace.as_ref().map(|id| id.as_str().to_owned())),
        ] {
            let Some(value) = value else { continue };
            given.push(value);
            filters.push(format!("{text} = ${}", given.len() + 3));
        }
        if let Some(after) = &query.after {
            let parts: [String; 4] = serde_json::from_str(after).map_err(|_| StoreError::Cursor)?;
            let numbers: Vec<_> = (1..=4).map(|n| format!("${}", given.len() + 3 + n)).collect();
            filters.push(format!("({KEY}) > ({})", numbers.join(", ")));
            given.extend(parts);
        }
        let statement = format!(
            "SELECT {KEY}, MAX(w.slug) AS slug,
             CAST(SUM(CASE WHEN COALESCE(u.ended, $3) > $2 THEN $2 ELSE COALESCE(u.ended, $3) END
                    - CASE WHEN u.began < $1 THEN $1 ELSE u.began END) AS BIGINT) AS ran
             FROM usage u LEFT JOIN workspaces w ON w.id = u.workspace_id
             WHERE {} GROUP BY {KEY} ORDER BY {KEY} LIMIT {}",
            filters.join(" AND "),
            u64::from(query.most) + 1
        );
        let mut rows = sqlx::query(AssertSqlSafe(statement)).bind(from).bind(to).bind(now);
        for value in given {
            rows = rows.bind(value);
        }
        let rows = rows.fetch_all(&mut *connection).await?;
        let mut rows = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        let is_last = rows.len() <= query.most as usize;
        rows.truncate(query.most as usize);
        let next = rows.last().filter(|_| !is_last).map(cursor).transpose()?;
        let to = Timestamp::from_millisecond(to)
            .map_err(|error| StoreError::Damaged(format!("the end of an interval: {error}")))?;
        Ok(UsagePage { to, rows, next })
    }
}

fn cursor(row: &UsageRow) -> Result<String> {
    super::to_json(&[row.workspace.as_str(), &row.owner, row.provider.as_str(), &row.size])
}

fn read(row: &AnyRow) -> Result<UsageRow> {
    let row = Columns(row);
    Ok(UsageRow {
        workspace: row.parsed("workspace_id")?,
        slug: row.maybe("slug")?.and_then(|slug| slug.parse().ok()),
        owner: row.text("owner")?,
        provider: row.parsed("provider")?,
        size: row.text("size")?,
        ran: Duration::from_millis(row.number("ran")?.max(0) as u64),
    })
}
