//! What stays of a workspace that is deleted: for a while its home, and for a week the words of its operations.

use std::time::Duration;

use contracts::operation::Operation;
use contracts::workspace::Desired;
use contracts::{RuntimeId, WorkspaceRef};
use jiff::Timestamp;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::claims::Hold;
use super::meter::end_usage;
use super::rows::{Columns, read};
use super::workspaces::joined;
use super::{Result, Store, StoreError, WorkspaceRow};

impl Store {
    /// Those that are deleted and whose homes are kept; by this name, or all. The one that was deleted last comes first.
    pub async fn kept(&self, name: Option<&WorkspaceRef>) -> Result<Vec<WorkspaceRow>> {
        let rest =
            |filter: &str| format!("WHERE w.home_until IS NOT NULL{filter} ORDER BY w.deleted_at DESC, w.id");
        let (filter, name) = match name {
            None => ("", None),
            Some(WorkspaceRef::Id(id)) => (" AND w.id = $1", Some(id.as_str())),
            Some(WorkspaceRef::Slug(slug)) => (" AND w.slug = $1", Some(slug.as_str())),
        };
        let mut query = sqlx::query(joined(&rest(filter)));
        if let Some(name) = name {
            query = query.bind(name);
        }
        Ok(query.fetch_all(self.database.pool()).await?.iter().filter_map(readable).collect())
    }

    /// Those whose homes have been kept for long enough.
    pub async fn homes_over(&self) -> Result<Vec<WorkspaceRow>> {
        let mut connection = self.database.pool().acquire().await?;
        let now = self.now(&mut connection).await?;
        let rows = sqlx::query(joined("WHERE w.home_until <= $1 ORDER BY w.home_until")).bind(now);
        Ok(rows.fetch_all(&mut *connection).await?.iter().filter_map(readable).collect())
    }

    /// Whether it was ever seen running, as far as that is on record.
    pub async fn has_run(&self, runtime: &RuntimeId) -> Result<bool> {
        let ran = sqlx::query("SELECT began FROM usage WHERE runtime_id = $1 LIMIT 1").bind(runtime.as_str());
        Ok(ran.fetch_optional(self.database.pool()).await?.is_some())
    }

    /// Not deleted any more, under the name of the row.
    pub(super) async fn revive(&self, connection: &mut AnyConnection, row: &WorkspaceRow) -> Result<()> {
        let revive = "UPDATE workspaces SET deleted_at = NULL, home_until = NULL, slug = $1 WHERE id = $2";
        sqlx::query(revive).bind(row.slug.as_str()).bind(row.id.as_str()).execute(connection).await?;
        Ok(())
    }

    /// The home of the runtime has been kept for long enough from now on: what removes it has begun, and a cancel does not give back
    /// what was desired before. A word of the claimer.
    pub async fn end_grace(&self, hold: &Hold) -> Result<()> {
        let (store, hold) = (self.clone(), hold.clone());
        self.write(move |connection| {
            Box::pin(async move {
                store.must_hold(connection, &hold).await?;
                let now = store.now(connection).await?;
                let end = "UPDATE workspaces SET home_until = $1 WHERE runtime_id = $2 AND home_until > $1";
                sqlx::query(end).bind(now).bind(hold.runtime.as_str()).execute(&mut *connection).await?;
                let wish = "UPDATE operations SET desired_before = NULL WHERE id = $1";
                sqlx::query(wish).bind(hold.operation.as_str()).execute(connection).await?;
                Ok(())
            })
        })
        .await
    }
}

impl Store {
    /// The workspace of an operation as it was, when nothing is left of it but its record; `None` when that is gone as well.
    pub async fn workspace_gone(&self, operation: &Operation) -> Result<Option<WorkspaceRow>> {
        let row = sqlx::query(
            "SELECT w.id, w.slug, w.owner, w.labels, w.git, w.created_at, o.provider,
             (SELECT u.size FROM usage u WHERE u.workspace_id = w.id ORDER BY u.began DESC LIMIT 1) AS size
             FROM workspaces w JOIN operations o ON o.workspace_id = w.id WHERE o.id = $1",
        );
        let row = row.bind(operation.id.as_str()).fetch_optional(self.database.pool()).await?;
        let Some(row) = row else { return Ok(None) };
        let columns = Columns(&row);
        // What never ran has no size any more.
        let size = columns.maybe("size")?.unwrap_or_default();
        let named = WorkspaceRow::new(columns.parsed("slug")?, columns.parsed("provider")?, size);
        Ok(Some(WorkspaceRow {
            id: columns.parsed("id")?,
            runtime_id: operation.runtime_id.clone(),
            owner: columns.text("owner")?,
            labels: columns.json("labels")?,
            git: columns.maybe_json("git")?,
            desired: Desired::Deleted,
            since: operation.phases.finished.unwrap_or(named.since),
            created_at: columns.parsed("created_at")?,
            operation: Some(operation.id.clone()),
            ..named
        }))
    }
}

/// One that cannot be read hides no other; the log has it.
fn readable(row: &AnyRow) -> Option<WorkspaceRow> {
    let told =
        |error: &StoreError| tracing::error!(%error, "the record of a deleted workspace cannot be read");
    read(row).inspect_err(told).ok()
}

/// Its name is free. Its runtime stays: a restore goes on from it.
pub(super) async fn keep_home(
    connection: &mut AnyConnection,
    runtime: &RuntimeId,
    now: i64,
    time: Duration,
) -> Result<()> {
    end_usage(connection, runtime, now).await?;
    sqlx::query("UPDATE workspaces SET deleted_at = $1, home_until = $2 WHERE runtime_id = $3")
        .bind(now)
        .bind(until(now, time))
        .bind(runtime.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// The last second that can be written down, where it would be later.
fn until(now: i64, time: Duration) -> i64 {
    let until = now.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    until.min(Timestamp::MAX.as_second() * 1000)
}

/// The words of its operations stay for a while, and with them who it was.
pub(super) async fn remove(connection: &mut AnyConnection, runtime: &RuntimeId, now: i64) -> Result<()> {
    end_usage(connection, runtime, now).await?;
    let part =
        "UPDATE workspaces SET deleted_at = $1, home_until = NULL, runtime_id = NULL WHERE runtime_id = $2";
    sqlx::query(part).bind(now).bind(runtime.as_str()).execute(&mut *connection).await?;
    sqlx::query("DELETE FROM runtimes WHERE id = $1").bind(runtime.as_str()).execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_that_is_kept_for_ever_is_kept_until_a_time_that_can_be_read() {
        let now = Timestamp::now().as_millisecond();
        assert_eq!(until(now, Duration::from_secs(2)), now + 2000);
        for long in [Duration::MAX, Duration::from_secs(3_000_000 * 86_400)] {
            assert!(Timestamp::from_millisecond(until(now, long)).is_ok(), "{long:?}");
        }
    }
}
