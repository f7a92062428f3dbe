//! What a runtime is made from, and where. Each change of the first is another generation of its spec.

use contracts::operation::Update;
use contracts::workspace::Image;
use contracts::{ErrorCode, RuntimeId};
use provider_api::Site;

use super::claims::Hold;
use super::rows::read;
use super::workspaces::joined;
use super::{Result, Store, WorkspaceRow, to_json};

impl WorkspaceRow {
    /// As it is with these changes: the same where it has them already, under whatever name.
    pub fn updated(&self, update: &Update) -> Self {
        let mut row = self.clone();
        let image = update.image.as_ref().filter(|image| !self.is_made_from(image));
        row.image = image.cloned().or(row.image);
        row.size = update.size.clone().unwrap_or(row.size);
        if let Some(choice) = &update.egress {
            row.egress = choice.clone().list();
        }
        if (&row.image, &row.size, &row.egress) != (&self.image, &self.size, &self.egress) {
            row.generation += 1;
        }
        row
    }

    /// Its user was told that it is gone, and nothing is begun anew by itself.
    pub fn home_is_gone(&self) -> bool {
        self.error.as_ref().is_some_and(|problem| problem.code == ErrorCode::HomeGone)
    }

    /// What it is to be made from means the same.
    pub fn is_made_from(&self, image: &Image) -> bool {
        self.image.as_ref().is_some_and(|ours| ours.exact() == image.exact())
    }
}

impl Store {
    /// From here on the runtime is to be made as this row says, and what it was made from is kept with the operation; a word
    /// of the claimer, as [`Store::advance`].
    pub async fn respecify(&self, hold: &Hold, row: &WorkspaceRow, update: &Update) -> Result<()> {
        let (store, hold, row, update) = (self.clone(), hold.clone(), row.clone(), update.clone());
        self.write(move |connection| {
            Box::pin(async move {
                store.must_hold(connection, &hold).await?;
                // Who repeats it after a crash changes nothing.
                let changed = sqlx::query(
                    "UPDATE runtimes SET image = COALESCE($1, image), size = $2, generation = $3, egress = $5, revision = revision + 1
                     WHERE id = $4 AND generation < $3",
                );
                let changed = changed
                    .bind(row.image.as_ref().map(to_json).transpose()?)
                    .bind(&row.size)
                    .bind(row.generation as i64)
                    .bind(hold.runtime.as_str())
                    .bind(row.egress.as_ref().map(to_json).transpose()?);
                if changed.execute(&mut *connection).await?.rows_affected() == 0 {
                    return Ok(());
                }
                sqlx::query("UPDATE operations SET changes = $1 WHERE id = $2")
                    .bind(to_json(&update)?)
                    .bind(hold.operation.as_str())
                    .execute(&mut *connection)
                    .await?;
                store.meter_anew(connection, &row).await
            })
        })
        .await
    }

    /// What is outside is of this generation, and has its home: what that began with is no part of it any more.
    pub async fn applied(&self, hold: &Hold, generation: u64) -> Result<()> {
        let (store, hold) = (self.clone(), hold.clone());
        self.write(move |connection| {
            Box::pin(async move {
                store.must_hold(connection, &hold).await?;
                sqlx::query("UPDATE runtimes SET applied = $1 WHERE id = $2 AND applied < $1")
                    .bind(generation as i64)
                    .bind(hold.runtime.as_str())
                    .execute(&mut *connection)
                    .await?;
                sqlx::query("UPDATE runtimes SET source = NULL WHERE id = $1 AND source IS NOT NULL")
                    .bind(hold.runtime.as_str())
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Those of which it is not known what they are made from, or which are made from nothing that has a name. A part of them where
    /// records cannot be read.
    pub async fn without_image(&self) -> Result<Vec<WorkspaceRow>> {
        let rows = sqlx::query(joined("WHERE w.deleted_at IS NULL AND r.image IS NULL ORDER BY w.slug"))
            .fetch_all(self.database.pool())
            .await?;
        Ok(rows.iter().filter_map(|row| read(row).ok()).collect())
    }

    /// Those of which it is not known where they are, also where only their home is kept. A part of them where records cannot be
    /// read.
    pub async fn without_sites(&self) -> Result<Vec<WorkspaceRow>> {
        let unknown =
            "WHERE (w.deleted_at IS NULL OR w.home_until IS NOT NULL) AND COALESCE(r.sites, '[]') = '[]'
                       ORDER BY w.slug";
        let rows = sqlx::query(joined(unknown)).fetch_all(self.database.pool()).await?;
        Ok(rows.iter().filter_map(|row| read(row).ok()).collect())
    }

    /// What a runtime of before images were kept is made from. One that is known stays.
    pub async fn learn_image(&self, runtime: &RuntimeId, image: &Image) -> Result<()> {
        let (runtime, image) = (runtime.clone(), to_json(image)?);
        self.write(move |connection| {
            Box::pin(async move {
                sqlx::query("UPDATE runtimes SET image = $1 WHERE id = $2 AND image IS NULL")
                    .bind(image)
                    .bind(runtime.as_str())
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// From here on the runtime is at one of these places; a word of the claimer.
    pub async fn settle(&self, hold: &Hold, sites: &[Site]) -> Result<()> {
        let (store, hold, sites) = (self.clone(), hold.clone(), to_json(&sites)?);
        self.write(move |connection| {
            Box::pin(async move {
                store.must_hold(connection, &hold).await?;
                let settle = "UPDATE runtimes SET sites = $1 WHERE id = $2";
                sqlx::query(settle).bind(sites).bind(hold.runtime.as_str()).execute(connection).await?;
                Ok(())
            })
        })
        .await
    }

    /// Where a runtime is that somebody has seen who runs nothing for it. What an operation has said since stays.
    pub async fn learn_sites(&self, runtime: &RuntimeId, before: &[Site], sites: &[Site]) -> Result<()> {
        let (runtime, before, sites) = (runtime.clone(), to_json(&before)?, to_json(&sites)?);
        self.write(move |connection| {
            Box::pin(async move {
                sqlx::query("UPDATE runtimes SET sites = $1 WHERE id = $2 AND COALESCE(sites, '[]') = $3")
                    .bind(sites)
                    .bind(runtime.as_str())
                    .bind(before)
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .await
    }
}
