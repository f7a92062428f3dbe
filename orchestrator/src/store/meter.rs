//! Since when an instance runs, and until when. Where nobody knows when it ended, what was seen of it counts and no more.

use std::time::Duration;

use contracts::RuntimeId;
use contracts::workspace::Observed;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::rows::Columns;
use super::{Result, Store, WorkspaceRow, to_json};
use crate::lifecycle::state::Event;

impl Store {
    /// Begins or ends the row that says since when it runs.
    pub(super) async fn meter(
        &self,
        connection: &mut AnyConnection,
        runtime: &RuntimeId,
        before: Observed,
        event: Event,
    ) -> Result<()> {
        let now = self.now(connection).await?;
        match event {
            Event::StopFinished | Event::SuspendFinished | Event::DeleteFinished | Event::OperationFailed => {
                end_usage(connection, runtime, now).await
            }
            Event::FoundDown | Event::FoundStopped | Event::FoundSuspended | Event::CreateStarted => {
                end_as_seen(connection, runtime).await
            }
            // Before it was thought to run, and maybe it did not. Where it boots this is the same start again.
            Event::StartStarted if before != Observed::Booting => {
                end_as_seen(connection, runtime).await?;
                begin(connection, runtime, now).await
            }
            Event::StartStarted | Event::Applied => begin(connection, runtime, now).await,
            Event::BecameReady | Event::FoundReady | Event::FoundUnwell => {
                begin(connection, runtime, now).await?;
                let seen = "UPDATE usage SET seen = $1 WHERE runtime_id = $2 AND ended IS NULL";
                sqlx::query(seen).bind(now).bind(runtime.as_str()).execute(connection).await?;
                Ok(())
            }
            // It runs until it has stopped; what cannot be seen goes on as it was.
            Event::StopStarted | Event::DeleteStarted | Event::ContactLost => Ok(()),
        }
    }

    /// These ran so long ago. One statement, however many there are.
    pub async fn seen_running(&self, runtimes: &[RuntimeId], ago: Duration) -> Result<()> {
        if runtimes.is_empty() {
            return Ok(());
        }
        let (store, runtimes) = (self.clone(), to_json(&runtimes)?);
        self.write(move |connection| {
            Box::pin(async move {
                let at = store.now(connection).await? - i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                let seen = format!(
                    "UPDATE usage SET seen = $2 WHERE ended IS NULL AND COALESCE(seen, began) < $2 AND runtime_id IN ({})",
                    store.database.each()
                );
                sqlx::query(AssertSqlSafe(seen)).bind(&runtimes).bind(at).execute(connection).await?;
                Ok(())
            })
        })
        .await
    }

    /// At which sizes a runtime has run, the oldest first, and whether it still does.
    pub async fn metered(&self, runtime: &RuntimeId) -> Result<Vec<(String, bool)>> {
        let rows = sqlx::query("SELECT size, ended FROM usage WHERE runtime_id = $1 ORDER BY began");
        let rows = rows.bind(runtime.as_str()).fetch_all(self.database.pool()).await?;
        let one = |row| Ok((Columns(row).text("size")?, Columns(row).maybe_number("ended")?.is_none()));
        rows.iter().map(one).collect()
    }

    /// What runs goes on at another size: from here on it costs what that costs.
    pub(super) async fn meter_anew(&self, connection: &mut AnyConnection, row: &WorkspaceRow) -> Result<()> {
        let now = self.now(connection).await?;
        let end = "UPDATE usage SET ended = $1 WHERE runtime_id = $2 AND ended IS NULL AND size <> $3 AND began < $1";
        let ended = sqlx::query(end).bind(now).bind(row.runtime_id.as_str()).bind(&row.size);
        if ended.execute(&mut *connection).await?.rows_affected() == 0 {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO usage (runtime_id, began, workspace_id, owner, provider, size) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT DO NOTHING",
        )
        .bind(row.runtime_id.as_str())
        .bind(now)
        .bind(row.id.as_str())
        .bind(&row.owner)
        .bind(row.provider.as_str())
        .bind(&row.size)
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Where it has not begun yet.
async fn begin(connection: &mut AnyConnection, runtime: &RuntimeId, now: i64) -> Result<()> {
    let begin = "INSERT INTO usage (runtime_id, began, workspace_id, owner, provider, size)
         SELECT r.id, $1, w.id, w.owner, r.provider, r.size FROM runtimes r JOIN workspaces w ON w.runtime_id = r.id
         WHERE r.id = $2 AND NOT EXISTS (SELECT 1 FROM usage WHERE runtime_id = $2 AND ended IS NULL)
         ON CONFLICT DO NOTHING";
    sqlx::query(begin).bind(now).bind(runtime.as_str()).execute(connection).await?;
    Ok(())
}

/// It has ended at some time since it was last seen.
async fn end_as_seen(connection: &mut AnyConnection, runtime: &RuntimeId) -> Result<()> {
    let end = "UPDATE usage SET ended = CASE WHEN seen > began THEN seen ELSE began END
         WHERE runtime_id = $1 AND ended IS NULL";
    sqlx::query(end).bind(runtime.as_str()).execute(connection).await?;
    Ok(())
}

/// It ends now.
pub(super) async fn end_usage(connection: &mut AnyConnection, runtime: &RuntimeId, now: i64) -> Result<()> {
    let end = "UPDATE usage SET ended = $1 WHERE runtime_id = $2 AND ended IS NULL";
    sqlx::query(end).bind(now).bind(runtime.as_str()).execute(connection).await?;
    Ok(())
}
