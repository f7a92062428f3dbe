//! The table of events.

use std::collections::BTreeSet;

use contracts::OperationId;
use contracts::operation::OperationEvent;

use super::database::Topic;
use super::rows::Columns;
use super::{Result, Store, to_json};

impl Store {
    /// All of them or none. A number that an operation has used already is an error.
    pub async fn append_events(&self, events: &[(OperationId, OperationEvent)]) -> Result<()> {
        let (store, events) = (self.clone(), events.to_vec());
        self.write(move |connection| {
            Box::pin(async move {
                for (id, event) in &events {
                    sqlx::query(
                        "INSERT INTO events (operation_id, sequence, at, body) VALUES ($1, $2, $3, $4)",
                    )
                    .bind(id.as_str())
                    .bind(event.sequence as i64)
                    .bind(event.at.to_string())
                    .bind(to_json(&event.body)?)
                    .execute(&mut *connection)
                    .await?;
                }
                let told: BTreeSet<&OperationId> = events.iter().map(|(id, _)| id).collect();
                for id in told {
                    store.database.tell(connection, Topic::Events, id.as_str()).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// The number of an operation's last event; 0 before the first.
    pub async fn last_event(&self, id: &OperationId) -> Result<u64> {
        let last = sqlx::query_scalar::<_, i64>(
            "SELECT COALESCE(MAX(sequence), 0) FROM events WHERE operation_id = $1",
        );
        Ok(last.bind(id.as_str()).fetch_one(self.database.pool()).await? as u64)
    }

    /// The next events behind a number, at most so many.
    pub async fn events_after(&self, id: &OperationId, after: u64, most: u32) -> Result<Vec<OperationEvent>> {
        let rows = sqlx::query(
            "SELECT sequence, at, body FROM events WHERE operation_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
        );
        let rows = rows.bind(id.as_str()).bind(after as i64).bind(i64::from(most));
        let rows = rows.fetch_all(self.database.pool()).await?;
        let read = |row| {
            let row = Columns(row);
            let sequence = row.number("sequence")? as u64;
            Ok(OperationEvent { sequence, at: row.parsed("at")?, body: row.json("body")? })
        };
        rows.iter().map(read).collect()
    }
}
