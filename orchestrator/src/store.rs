//! The durable truth: workspaces and operations in SQLite. An operation row that has not ended is the
//! queue entry, so intent and queue are one commit.
//!
//! `synchronous = FULL`: what was answered with 202 survives a power cut.

mod events;
mod migrations;
mod operations;
mod rows;
mod workspaces;

use std::path::Path;
use std::time::Duration;

use contracts::{ErrorCode, Problem};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

pub use operations::NewOperation;
pub use workspaces::{Change, WorkspaceRow};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the disk of the data folder is full")]
    Full,
    #[error("the slug is taken")]
    SlugTaken,
    #[error("the idempotency key is in use")]
    KeyTaken,
    #[error("a stored value cannot be read: {0}")]
    Damaged(String),
    #[error("a newer Pilot wrote it")]
    Newer,
    #[error(transparent)]
    Database(sqlx::Error),
}

pub type Result<T> = std::result::Result<T, StoreError>;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens the database, makes it at first, and brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        migrations::all().run(&pool).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error) => StoreError::from(error),
            sqlx::migrate::MigrateError::VersionMissing(_) => StoreError::Newer,
            other => StoreError::Damaged(other.to_string()),
        })?;
        Ok(Self { pool })
    }

    /// One trivial read; for readiness.
    /// True for the secrets of the first start; of an installation that never said, these are they.
    pub async fn belongs_to(&self, secrets: &str) -> Result<bool> {
        sqlx::query("INSERT INTO installation (name, value) VALUES ('secrets', ?) ON CONFLICT DO NOTHING")
            .bind(secrets)
            .execute(&self.pool)
            .await?;
        let found = sqlx::query_scalar::<_, String>("SELECT value FROM installation WHERE name = 'secrets'");
        Ok(found.fetch_one(&self.pool).await? == secrets)
    }

    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Waits for open transactions and writes the log back.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            return StoreError::Database(error);
        };
        let message = database.message().to_owned();
        // SQLite's primary result code is the low byte: 13 is SQLITE_FULL.
        let code = database.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or_default();
        if code & 0xff == 13 {
            return StoreError::Full;
        }
        if message.contains("workspaces.slug") {
            return StoreError::SlugTaken;
        }
        if message.contains("operations.idempotency_key") {
            return StoreError::KeyTaken;
        }
        StoreError::Database(error)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => crate::data::full("the store"),
            StoreError::SlugTaken => Problem::new(ErrorCode::SlugTaken, "Another workspace has this slug."),
            StoreError::KeyTaken => Problem::new(
                ErrorCode::IdempotencyConflict,
                "The idempotency key was used for another request.",
            ),
            StoreError::Damaged(message) => {
                tracing::error!(%message, "damaged store");
                unreadable(&message)
            }
            StoreError::Newer => {
                Problem::new(ErrorCode::StoreNewer, "The database was changed by a newer version of Pilot.")
                    .with_action("Start that version, or restore the data folder from a backup of before.")
            }
            StoreError::Database(error) => {
                tracing::error!(%error, "store");
                Problem::new(ErrorCode::StoreUnavailable, "The store did not answer; the log has the reason.")
            }
        }
    }
}

/// Enums and structs are stored as the JSON that the API shows.
/// What a record that cannot be read is shown with.
fn unreadable(message: &str) -> Problem {
    Problem::new(
        ErrorCode::RecordUnreadable,
        format!("The database holds what this version cannot read: {message}."),
    )
    .with_action("Use the version of Pilot that wrote it, or restore the data folder from a backup.")
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Damaged(error.to_string()))
}
