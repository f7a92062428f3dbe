//! What a runtime is made from. Each change is another generation of its spec.

use contracts::RuntimeId;
use contracts::operation::Update;
use contracts::workspace::Image;

use super::claims::Hold;
use super::{Result, Store, WorkspaceRow, to_json};

impl WorkspaceRow {
    /// As it is with these changes: the same where it has them already.
    pub fn updated(&self, update: &Update) -> Self {
        let mut row = self.clone();
        row.image = update.image.clone().or(row.image);
        row.size = update.size.clone().unwrap_or(row.size);
        if (&row.image, &row.size) != (&self.image, &self.size) {
            row.generation += 1;
        }
        row
    }
}

impl Store {
    /// From here on the runtime is to be made as this row says; a word of the claimer, as [`Store::advance`].
    pub async fn respecify(&self, hold: &Hold, row: &WorkspaceRow) -> Result<()> {
        let (store, hold, row) = (self.clone(), hold.clone(), row.clone());
        self.write(move |connection| {
            Box::pin(async move {
                store.must_hold(connection, &hold).await?;
                // Who repeats it after a crash changes nothing.
                sqlx::query(
                    "UPDATE runtimes SET image = $1, size = $2, generation = $3, revision = revision + 1
                     WHERE id = $4 AND generation < $3",
                )
                .bind(row.image.as_ref().map(to_json).transpose()?)
                .bind(&row.size)
                .bind(row.generation as i64)
                .bind(hold.runtime.as_str())
                .execute(connection)
                .await?;
                Ok(())
            })
        })
        .await
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
}
