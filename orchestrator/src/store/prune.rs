//! What is not kept for ever.

use std::time::Duration;

use super::{Result, Store};

/// How long what has ended is kept, and how much of it at most.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    pub operations: Duration,
    pub operations_most: u32,
    pub keys: Duration,
}

impl Default for Kept {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { operations: 7 * day, operations_most: 10_000, keys: day }
    }
}

/// So many rows at once: a writer that waits does not wait long.
const AT_ONCE: i64 = 500;

impl Store {
    /// Removes some of what is too old or too much; false when nothing is left to remove. What has not ended stays, and so
    /// does the last operation of each workspace that is there.
    pub async fn prune(&self, kept: Kept) -> Result<bool> {
        let store = self.clone();
        self.write(move |connection| {
            Box::pin(async move {
                let now = store.now(connection).await?;
                let before = |kept: Duration| now - kept.as_millis() as i64;
                let mut removed = 0;
                let keys = "DELETE FROM keys WHERE used_at < $1";
                sqlx::query(keys).bind(before(kept.keys)).execute(&mut *connection).await?;
                let ids = sqlx::query_scalar::<_, String>(
                    "SELECT o.id FROM operations o WHERE o.finished_at IS NOT NULL
                     AND (o.finished_at < $1 OR o.id < COALESCE((SELECT n.id FROM operations n
                          WHERE n.finished_at IS NOT NULL ORDER BY n.id DESC LIMIT 1 OFFSET $2), ''))
                     AND NOT EXISTS (SELECT 1 FROM workspaces w WHERE w.operation = o.id AND (w.deleted_at IS NULL OR w.home_until IS NOT NULL))
                     ORDER BY o.id LIMIT $3",
                );
                let ids = ids.bind(before(kept.operations)).bind(i64::from(kept.operations_most)).bind(AT_ONCE);
                for id in ids.fetch_all(&mut *connection).await? {
                    for statement in
                        ["DELETE FROM events WHERE operation_id = $1", "DELETE FROM operations WHERE id = $1"]
                    {
                        sqlx::query(statement).bind(&id).execute(&mut *connection).await?;
                    }
                    removed += 1;
                }
                for statement in [
                    "DELETE FROM rollout_members WHERE rollout_id IN (SELECT id FROM rollouts WHERE finished_at < $1)",
                    "DELETE FROM rollouts WHERE finished_at < $1",
                ] {
                    sqlx::query(statement).bind(before(kept.operations)).execute(&mut *connection).await?;
                }
                let gone = "DELETE FROM workspaces WHERE deleted_at < $1 AND home_until IS NULL";
                sqlx::query(gone).bind(before(kept.operations)).execute(connection).await?;
                Ok(removed == AT_ONCE)
            })
        })
        .await
    }
}
