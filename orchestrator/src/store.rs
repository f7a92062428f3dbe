//! The durable truth: workspaces and operations in SQLite. An operation row that has not ended is the
//! queue entry, so intent and queue are one commit.
//!
//! `synchronous = FULL`: what was answered with 202 survives a power cut.

mod migrations;
mod operations;
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
            other => StoreError::Damaged(other.to_string()),
        })?;
        Ok(Self { pool })
    }

    /// One trivial read; for readiness.
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
                Problem::new(ErrorCode::StoreUnavailable, "The store holds a value that cannot be read.")
            }
            StoreError::Database(error) => {
                tracing::error!(%error, "store");
                Problem::new(ErrorCode::StoreUnavailable, "The store did not answer; the log has the reason.")
            }
        }
    }
}

/// Enums and structs are stored as the JSON that the API shows.
fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Damaged(error.to_string()))
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StoreError::Damaged(format!("{text}: {error}")))
}

fn optional<T: serde::de::DeserializeOwned>(text: Option<String>) -> Result<Option<T>> {
    text.as_deref().map(from_json).transpose()
}
