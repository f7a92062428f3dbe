//! The table of events.

use contracts::OperationId;
use contracts::operation::OperationEvent;

use super::rows::Columns;
use super::{Result, Store, to_json};

impl Store {
    /// All of them or none. A number that an operation has used already is an error.
    pub async fn append_events(&self, events: &[(OperationId, OperationEvent)]) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        for (id, event) in events {
            sqlx::query("INSERT INTO events (operation_id, sequence, at, body) VALUES (?, ?, ?, ?)")
                .bind(id.as_str())
                .bind(event.sequence as i64)
                .bind(event.at.to_string())
                .bind(to_json(&event.body)?)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// The number of an operation's last event; 0 before the first.
    pub async fn last_event(&self, id: &OperationId) -> Result<u64> {
        let last = sqlx::query_scalar::<_, i64>(
            "SELECT COALESCE(MAX(sequence), 0) FROM events WHERE operation_id = ?",
        );
        Ok(last.bind(id.as_str()).fetch_one(&self.pool).await? as u64)
    }

    /// The next events behind a number, at most so many.
    pub async fn events_after(&self, id: &OperationId, after: u64, most: u32) -> Result<Vec<OperationEvent>> {
        let rows = sqlx::query(
            "SELECT sequence, at, body FROM events WHERE operation_id = ? AND sequence > ? ORDER BY sequence LIMIT ?",
        );
        let rows = rows.bind(id.as_str()).bind(after as i64).bind(most).fetch_all(&self.pool).await?;
        let read = |row| {
            let row = Columns(row);
            let sequence = row.number("sequence")? as u64;
            Ok(OperationEvent { sequence, at: row.parsed("at")?, body: row.json("body")? })
        };
        rows.iter().map(read).collect()
    }
}
