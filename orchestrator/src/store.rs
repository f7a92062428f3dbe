//! The durable truth: workspaces, what runs them, and operations. An operation's row that has not ended is the queue entry,
//! so intent and queue are one commit. One file of SQLite, or a PostgreSQL that several processes share.

mod audit;
mod claims;
pub mod copy;
mod database;
mod events;
mod homes;
mod imports;
mod keys;
mod leases;
mod marks;
mod meter;
mod migrations;
mod operations;
mod postgres;
mod prune;
mod requests;
mod rollouts;
mod rows;
mod shared;
mod specs;
mod sqlite;
mod strays;
mod usage;
mod workspaces;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use contracts::operation::Operation;
use contracts::{ErrorCode, Problem, Slug};
use futures_util::future::BoxFuture;
use sqlx::AnyConnection;
use tokio::sync::{broadcast, watch};

use crate::lifecycle::state::IllegalTransition;
use database::{Database, Job, Wakes};
use postgres::Postgres;
use sqlite::Sqlite;

pub use claims::{Change, Claimed, End, Hold, Left, Step};
pub use keys::Key;
pub use leases::Lease;
pub use marks::Mark;
pub use operations::{Query, Queue};
pub use prune::Kept;
pub use requests::{NewOperation, Wanted};
pub use rollouts::RunningRollout;
pub use strays::Stray;
pub use usage::{UsagePage, UsageQuery, UsageRow};
pub use workspaces::{Sort, WorkspaceQuery, WorkspaceRow};

#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("the disk of the data folder is full")]
    Full,
    #[error("the disk of the database is full")]
    DatabaseFull,
    #[error("the slug is taken")]
    SlugTaken,
    #[error("the idempotency key is in use")]
    KeyTaken,
    #[error("another rollout of the provider runs")]
    RolloutRuns,
    #[error("the cursor is not one of this list")]
    Cursor,
    /// These workspaces need what is to be removed.
    #[error("it is in use")]
    InUse(Vec<String>),
    /// What is asked for has no place behind this one.
    #[error("the workspace is busy with the operation {}", .0.id)]
    Busy(Box<Operation>),
    #[error("it is gone")]
    Gone,
    /// A delete was accepted, whatever came of it so far.
    #[error("it is to be deleted")]
    Deleted(Slug),
    /// It is not the version any more that the request is about.
    #[error("it has changed since")]
    Changed,
    /// Another process goes on with the operation.
    #[error("the operation was taken over")]
    Fenced,
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    #[error("a stored value cannot be read: {0}")]
    Damaged(String),
    #[error("a newer Pilot wrote it")]
    Newer,
    /// The server of the database cannot be reached at present.
    #[error("the database is away: {0}")]
    Away(Arc<sqlx::Error>),
    /// As a standby is, and a server before a failover.
    #[error("the database takes no writes")]
    ReadOnly,
    /// Since when the installation is served from its data folder again.
    #[error("the installation was taken back to its data folder at {0}")]
    Left(String),
    /// It cannot keep every text.
    #[error("the database is in {0}")]
    Encoding(String),
    #[error(transparent)]
    Database(Arc<sqlx::Error>),
}

impl StoreError {
    /// It is none of who asked: the same is asked again once the store is as it should be.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Full | Self::DatabaseFull | Self::Away(_) | Self::ReadOnly | Self::Left(_))
    }
}

pub type Result<T> = std::result::Result<T, StoreError>;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    database: Arc<dyn Database>,
    wakes: Wakes,
}

impl Store {
    /// Opens the file, makes it at first, and brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Self> {
        Ok(Self { database: Arc::new(Sqlite::open(path).await?), wakes: Wakes::new() })
    }

    /// Joins those who share the database at a `postgres://` address.
    pub async fn join(url: &str) -> Result<Self> {
        let wakes = Wakes::new();
        Ok(Self { database: Arc::new(Postgres::open(url, wakes.clone()).await?), wakes })
    }

    /// No other process can have it, so that none can take over what this one runs.
    pub fn is_alone(&self) -> bool {
        self.database.is_alone()
    }

    /// Changes whenever there may be something to run or to end.
    pub fn work(&self) -> watch::Receiver<()> {
        self.wakes.work.subscribe()
    }

    /// Ids of operations that told something in another process.
    pub fn told(&self) -> broadcast::Receiver<String> {
        self.wakes.events.subscribe()
    }

    /// Ids of runtimes of which something else is known now; what is no id means that some were missed.
    pub fn changed(&self) -> broadcast::Receiver<String> {
        self.wakes.routes.subscribe()
    }

    /// True for the secrets of the first start; of an installation that never said, these are they.
    pub async fn belongs_to(&self, secrets: &str) -> Result<bool> {
        let secrets = secrets.to_owned();
        self.write(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO installation (name, value) VALUES ('secrets', $1) ON CONFLICT DO NOTHING",
                )
                .bind(&secrets)
                .execute(&mut *connection)
                .await?;
                let found =
                    sqlx::query_scalar::<_, String>("SELECT value FROM installation WHERE name = 'secrets'");
                Ok(found.fetch_one(connection).await? == secrets)
            })
        })
        .await
    }

    /// Whether the server of the database offers TLS.
    pub async fn has_tls(&self) -> Result<bool> {
        let offered: String = sqlx::query_scalar("SHOW ssl").fetch_one(self.database.pool()).await?;
        Ok(offered == "on")
    }

    /// Whether it answers and takes writes, as far as a read can tell; for readiness.
    pub async fn ping(&self) -> Result<()> {
        let read_only = sqlx::query_scalar::<_, i64>(self.database.is_read_only());
        if read_only.fetch_one(self.database.pool()).await? != 0 {
            return Err(StoreError::ReadOnly);
        }
        match self.is_alone() {
            true => Ok(()),
            false => marks::must_be_here(&mut *self.database.pool().acquire().await?).await,
        }
    }

    pub async fn close(&self) {
        self.database.close().await;
    }

    /// What the job gives, once it is durable. What fails changes nothing.
    async fn write<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut AnyConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        let slot = Arc::new(Mutex::new(None));
        let given = Arc::clone(&slot);
        let is_shared = !self.is_alone();
        let job: Job = Box::new(move |connection| {
            Box::pin(async move {
                let here = match is_shared {
                    true => marks::must_be_here(connection).await,
                    false => Ok(()),
                };
                let result = match here {
                    Ok(()) => job(connection).await,
                    Err(left) => Err(left),
                };
                let done = result.as_ref().map(drop).map_err(StoreError::clone);
                *given.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                done
            })
        });
        self.database.write(job).await?;
        let result = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        result.unwrap_or(Err(StoreError::from(sqlx::Error::WorkerCrashed)))
    }

    async fn now(&self, connection: &mut AnyConnection) -> Result<i64> {
        Ok(sqlx::query_scalar(self.database.now()).fetch_one(connection).await?)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else {
            return match error {
                sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_) => {
                    StoreError::Away(Arc::new(error))
                }
                _ => StoreError::Database(Arc::new(error)),
            };
        };
        let code = database.code().unwrap_or_default();
        match outage(&code) {
            Some(Outage::Full) => return StoreError::Full,
            Some(Outage::ServerFull) => return StoreError::DatabaseFull,
            Some(Outage::ReadOnly) => return StoreError::ReadOnly,
            Some(Outage::Away) => return StoreError::Away(Arc::new(error)),
            None => {}
        }
        let (message, constraint) = (database.message(), database.constraint().unwrap_or_default());
        if message.contains("workspaces.slug") || constraint == "workspaces_slug" {
            return StoreError::SlugTaken;
        }
        if message.contains("rollouts.provider") || constraint == "rollouts_running" {
            return StoreError::RolloutRuns;
        }
        if message.contains("keys.principal") || constraint == "keys_pkey" {
            return StoreError::KeyTaken;
        }
        StoreError::Database(Arc::new(error))
    }
}

/// What is wrong with a database, whatever it was asked.
#[derive(Debug, PartialEq)]
enum Outage {
    Full,
    ServerFull,
    ReadOnly,
    Away,
}

/// By the code of its error: PostgreSQL's have five characters, and of SQLite's numbers the low byte says what it is.
fn outage(code: &str) -> Option<Outage> {
    if code.len() < 5 {
        return match code.parse::<u32>().ok()? & 0xff {
            13 => Some(Outage::Full),
            8 => Some(Outage::ReadOnly),
            // Another process has it locked, the disk does not read or write, the file cannot be opened.
            5 | 6 | 10 | 14 => Some(Outage::Away),
            _ => None,
        };
    }
    // It ends, starts, has hung up, has no room for a connection, cannot read its disk; or did not get a lock or to an end in
    // time, or two waited for each other.
    const AWAY: [&str; 9] = ["57P", "08", "53", "58030", "55P03", "57014", "25P03", "40P01", "40001"];
    match code {
        "53100" => Some(Outage::ServerFull),
        "25006" => Some(Outage::ReadOnly),
        code => AWAY.iter().any(|class| code.starts_with(class)).then_some(Outage::Away),
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => crate::data::full("There is no space left for the store.", crate::data::DISK),
            StoreError::DatabaseFull => crate::data::full(
                "There is no space left for the store: the database has said so.",
                "the disk of the database's server",
            ),
            StoreError::SlugTaken => Problem::new(ErrorCode::SlugTaken, "Another workspace has this slug."),
            StoreError::KeyTaken => Problem::new(
                ErrorCode::IdempotencyConflict,
                "The idempotency key was used for another request.",
            ),
            StoreError::RolloutRuns => Problem::new(
                ErrorCode::OperationInProgress,
                "Another rollout of this provider has not ended.",
            )
            .with_action("`pilot rollout ls` shows it, and `pilot rollout stop ID` ends it."),
            StoreError::Cursor => Problem::new(
                ErrorCode::BadRequest,
                "The cursor is not one that a list in this order has given as `next`.",
            ),
            StoreError::InUse(users) => Problem::new(
                ErrorCode::ProviderInUse,
                format!("Workspaces of this provider exist: {}.", users.join(", ")),
            )
            .with_action("Delete them with `pilot ws rm --purge NAME`, then try again."),
            StoreError::Busy(other) => busy(&other),
            StoreError::Deleted(slug) => Problem::new(
                ErrorCode::WorkspaceNotFound,
                format!("The workspace {slug} is being deleted."),
            )
            .with_action(format!(
                "`pilot ws why {slug}` says how far that is. Once it is deleted, `pilot ws restore {slug}` \
                         brings it back while its home is kept."
            )),
            StoreError::Gone => Problem::new(ErrorCode::WorkspaceNotFound, "The workspace is gone."),
            StoreError::Changed => {
                let detail = "The workspace is not the one that the request's If-Match is about.";
                Problem::new(ErrorCode::PreconditionFailed, detail)
                    .with_action("Look at it again, and send the ETag that it has then.")
            }
            StoreError::Fenced => {
                Problem::new(ErrorCode::Fenced, "Another orchestrator has taken the operation over.")
                    .with_action("Nothing to do: it goes on there.")
            }
            StoreError::Illegal(illegal) => {
                Problem::new(ErrorCode::OperationInProgress, format!("{illegal}."))
            }
            StoreError::Damaged(message) => {
                tracing::error!(%message, "damaged store");
                unreadable(&message)
            }
            StoreError::Newer => {
                Problem::new(ErrorCode::StoreNewer, "The database was changed by a newer version of Pilot.")
                    .with_action("Start that version, or restore the data folder from a backup of before.")
            }
            StoreError::Encoding(found) => Problem::new(
                ErrorCode::StoreUnavailable,
                format!("The database keeps texts in {found}; Pilot needs one in UTF8."),
            )
            .with_action("Make another: CREATE DATABASE pilot ENCODING 'UTF8' TEMPLATE template0."),
            StoreError::ReadOnly => Problem::new(
                ErrorCode::StoreUnavailable,
                "The database takes no writes: it is a standby, or was set to be read only.",
            )
            .with_action(
                "See which server `--database` leads to. What was accepted goes on by itself when it takes writes again.",
            ),
            StoreError::Left(since) => Mark::Left.problem(&since),
            StoreError::Away(error) | StoreError::Database(error) => {
                tracing::error!(%error, "store");
                Problem::new(ErrorCode::StoreUnavailable, "The store did not answer; the log has the reason.")
            }
        }
    }
}

fn busy(other: &Operation) -> Problem {
    let detail = format!(
        "{} is busy: operation {} ({}) has not ended.",
        other.subject(),
        other.id,
        other.kind.as_str()
    );
    Problem::new(ErrorCode::OperationInProgress, detail)
        .with_action(format!("Wait for it with `pilot op watch {}`, then try again.", other.id))
}

/// What a record that cannot be read is shown with.
fn unreadable(message: &str) -> Problem {
    Problem::new(
        ErrorCode::RecordUnreadable,
        format!("The database holds what this version cannot read: {message}."),
    )
    .with_action("Use the version of Pilot that wrote it, or restore the data folder from a backup.")
}

/// Enums and structs are stored as the JSON that the API shows.
fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Damaged(error.to_string()))
}
