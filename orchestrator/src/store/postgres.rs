//! An installation in a PostgreSQL, of any number of processes. Each write is a transaction of its own; the server commits
//! those together that come together.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgListener;
use sqlx::{AnyConnection, AnyPool, Executor as _};

use super::database::{Database, Job, Topic, Wakes};
use super::{Result, StoreError, migrations};

const CONNECTIONS: u32 = 16;

/// How long a write waits for a connection, also while the server is away.
const TIMEOUT: Duration = Duration::from_secs(5);

/// For each connection: whoever sleeps in the middle of a job keeps nobody else from the rows it holds.
const SETTINGS: [&str; 3] = [
    "SET lock_timeout = '5s'",
    "SET statement_timeout = '10s'",
    "SET idle_in_transaction_session_timeout = '10s'",
];

/// A job that takes longer has lost its server.
const JOB: Duration = Duration::from_secs(20);

/// Between two attempts to listen.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Postgres {
    pool: AnyPool,
    listener: tokio::task::JoinHandle<()>,
}

impl Postgres {
    /// Brings the tables up to date, and wakes whom other processes want to wake.
    pub async fn open(url: &str, wakes: Wakes) -> Result<Self> {
        make(url, migrations::postgres()).await?;
        let options = AnyPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(TIMEOUT);
        let options = options.after_connect(|connection, _| {
            Box::pin(async move {
                for setting in SETTINGS {
                    connection.execute(setting).await?;
                }
                Ok(())
            })
        });
        let pool = options.connect(url).await?;
        let listener = tokio::spawn(listen(url.to_owned(), wakes));
        Ok(Self { pool, listener })
    }
}

#[async_trait]
impl Database for Postgres {
    fn pool(&self) -> &AnyPool {
        &self.pool
    }

    async fn write(&self, job: Job) -> Result<()> {
        let written = async {
            let mut transaction = self.pool.begin().await?;
            match job(&mut transaction).await {
                Ok(()) => transaction.commit().await,
                Err(_) => transaction.rollback().await,
            }
        };
        let written = tokio::time::timeout(JOB, written).await;
        Ok(written.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))?)
    }

    fn now(&self) -> &'static str {
        "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    }

    fn each(&self) -> &'static str {
        "SELECT json_array_elements_text($1::json)"
    }

    fn locking(&self) -> &'static str {
        " FOR UPDATE"
    }

    fn skipping(&self) -> &'static str {
        " FOR UPDATE OF o SKIP LOCKED"
    }

    fn is_read_only(&self) -> &'static str {
        "SELECT current_setting('transaction_read_only')::bool::int::bigint"
    }

    fn is_alone(&self) -> bool {
        false
    }

    async fn tell(&self, connection: &mut AnyConnection, topic: Topic, about: &str) -> Result<()> {
        sqlx::query("SELECT pg_notify($1, $2)").bind(topic.as_str()).bind(about).execute(connection).await?;
        Ok(())
    }

    async fn close(&self) {
        self.listener.abort();
        self.pool.close().await;
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// Brings the tables up to date, where all that people write can be kept.
pub(super) async fn make(url: &str, tables: Migrator) -> Result<()> {
    sqlx::any::install_default_drivers();
    let pool = AnyPoolOptions::new().max_connections(1).acquire_timeout(TIMEOUT).connect(url).await?;
    let made = async {
        let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(&pool).await?;
        // The last keeps bytes as they come, and so every text.
        if !["UTF8", "SQL_ASCII"].contains(&encoding.as_str()) {
            return Err(StoreError::Encoding(encoding));
        }
        migrations::run(tables, &pool).await
    };
    let made = made.await;
    pool.close().await;
    made
}

/// What is missed while nobody listens is found by those who look from time to time.
async fn listen(url: String, wakes: Wakes) {
    loop {
        if let Err(error) = heard(&url, &wakes).await {
            tracing::debug!(%error, "PostgreSQL tells nothing at present");
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn heard(url: &str, wakes: &Wakes) -> std::result::Result<(), sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen_all([Topic::Work, Topic::Events, Topic::Routes].map(Topic::as_str)).await?;
    missed(wakes);
    loop {
        // Nothing is said where the connection was lost and made again.
        let Some(said) = listener.try_recv().await? else {
            missed(wakes);
            continue;
        };
        match said.channel() {
            channel if channel == Topic::Events.as_str() => {
                let _ = wakes.events.send(said.payload().to_owned());
            }
            channel if channel == Topic::Routes.as_str() => wakes.route(said.payload()),
            _ => wakes.work(),
        }
    }
}

/// Something may have happened that nobody heard.
fn missed(wakes: &Wakes) {
    wakes.work();
    wakes.route("");
}
