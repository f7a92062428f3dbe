//! What one process of several does for all, and for how long.

use std::time::Duration;

use super::{Result, Store};

/// Held by one at a time. The fence rises with every new holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub name: String,
    pub holder: String,
    pub fence: u64,
}

impl Store {
    /// Takes a lease that is free or over, and prolongs one's own; `None` while another has it.
    pub async fn lease(&self, name: &str, holder: &str, time: Duration) -> Result<Option<Lease>> {
        let (store, name, holder) = (self.clone(), name.to_owned(), holder.to_owned());
        let lease = self.write(move |connection| {
            Box::pin(async move {
                let now = store.now(connection).await?;
                let fence = sqlx::query_scalar::<_, i64>(
                    "INSERT INTO leases (name, holder, fence, until) VALUES ($1, $2, 1, $3)
                     ON CONFLICT (name) DO UPDATE SET
                       fence = leases.fence + CASE WHEN leases.holder = excluded.holder THEN 0 ELSE 1 END,
                       holder = excluded.holder, until = excluded.until
                     WHERE leases.holder = excluded.holder OR leases.until < $4 RETURNING fence",
                );
                let until = now + time.as_millis() as i64;
                let fence = fence.bind(&name).bind(&holder).bind(until).bind(now);
                let fence = fence.fetch_optional(connection).await?;
                Ok(fence.map(|fence| Lease { name, holder, fence: fence as u64 }))
            })
        });
        let lease = lease.await?;
        if let Some(lease) = &lease {
            crate::metrics::lease_renewed(&lease.name);
        }
        Ok(lease)
    }

    /// Of a store that one process has alone: whoever held one before is gone.
    pub async fn free_leases(&self) -> Result<()> {
        self.write(|connection| {
            Box::pin(async move {
                sqlx::query("UPDATE leases SET until = 0").execute(connection).await?;
                Ok(())
            })
        })
        .await
    }

    /// Gives all back that the holder has: it ends, and nobody is to wait for what it will not do any more.
    pub async fn give_back_all(&self, holder: &str) -> Result<()> {
        let holder = holder.to_owned();
        self.write(move |connection| {
            Box::pin(async move {
                let free = sqlx::query("UPDATE leases SET until = 0 WHERE holder = $1").bind(&holder);
                free.execute(connection).await?;
                Ok(())
            })
        })
        .await
    }

    /// Gives it back before its time; nothing where it is another's by now.
    pub async fn give_back(&self, lease: &Lease) -> Result<()> {
        let lease = lease.clone();
        self.write(move |connection| {
            Box::pin(async move {
                sqlx::query("UPDATE leases SET until = 0 WHERE name = $1 AND holder = $2 AND fence = $3")
                    .bind(&lease.name)
                    .bind(&lease.holder)
                    .bind(lease.fence as i64)
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .await
    }
}
