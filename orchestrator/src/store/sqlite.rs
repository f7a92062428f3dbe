//! An installation in one file, of one process. All writes go through one connection, and those that come together are
//! one commit: what takes the time is the disk's word that it is written, and that is for all of them.
//!
//! `synchronous = FULL`: what was answered with 202 survives a power cut.

use std::path::Path;

use async_trait::async_trait;
use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, AnyPool, Executor as _};
use tokio::sync::{mpsc, oneshot};

use super::database::{Database, Job, Topic};
use super::{Result, StoreError, migrations};

/// So many writes are one commit at most: one of them that fails with the disk fails all.
const TOGETHER: usize = 64;

/// For each connection, before anything else.
const SETTINGS: [&str; 4] = [
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA foreign_keys = ON",
];

#[derive(Debug)]
pub(super) struct Sqlite {
    pool: AnyPool,
    jobs: mpsc::Sender<Entry>,
}

type Entry = (Job, oneshot::Sender<Result<()>>);

impl Sqlite {
    /// Makes the file at first, and brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let options = AnyPoolOptions::new().max_connections(9).after_connect(|connection, _| {
            Box::pin(async move {
                for setting in SETTINGS {
                    connection.execute(setting).await?;
                }
                Ok(())
            })
        });
        let pool = options.connect(&address(path, "rwc")).await?;
        migrations::run(migrations::sqlite(), &pool).await?;
        let (jobs, entries) = mpsc::channel(4 * TOGETHER);
        tokio::spawn(write_all(pool.clone(), entries));
        Ok(Self { pool, jobs })
    }
}

#[async_trait]
impl Database for Sqlite {
    fn pool(&self) -> &AnyPool {
        &self.pool
    }

    async fn write(&self, job: Job) -> Result<()> {
        let (done, answer) = oneshot::channel();
        let closed = |()| StoreError::from(sqlx::Error::PoolClosed);
        self.jobs.send((job, done)).await.map_err(|_| closed(()))?;
        answer.await.map_err(|_| closed(()))?
    }

    fn now(&self) -> &'static str {
        "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    }

    fn each(&self) -> &'static str {
        "SELECT value FROM json_each($1)"
    }

    /// Nothing else is written while a job runs.
    fn locking(&self) -> &'static str {
        ""
    }

    fn skipping(&self) -> &'static str {
        ""
    }

    /// Only a write would tell.
    fn is_read_only(&self) -> &'static str {
        "SELECT 0"
    }

    fn is_alone(&self) -> bool {
        true
    }

    async fn tell(&self, _: &mut AnyConnection, _: Topic, _: &str) -> Result<()> {
        Ok(())
    }

    /// Waits for open transactions and writes the log back.
    async fn close(&self) {
        self.pool.close().await;
    }
}

/// A path may hold whatever a file's name may.
pub(super) fn address(path: &Path, mode: &str) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut address = "sqlite://".to_owned();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => address.push(byte.into()),
            // Writing to a string cannot fail.
            _ => drop(write!(address, "%{byte:02X}")),
        }
    }
    address + "?mode=" + mode
}

/// Makes the file with these tables, for whoever fills it.
pub(super) async fn make(path: &Path, tables: Migrator) -> Result<()> {
    sqlx::any::install_default_drivers();
    let pool = AnyPoolOptions::new().max_connections(1).connect(&address(path, "rwc")).await?;
    pool.execute("PRAGMA journal_mode = WAL").await?;
    let made = migrations::run(tables, &pool).await;
    pool.close().await;
    made
}

/// These tables and nothing in them.
pub(super) async fn in_memory(tables: Migrator) -> Result<AnyConnection> {
    let pool = AnyPoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    migrations::run(tables, &pool).await?;
    Ok(pool.acquire().await?.detach())
}

async fn write_all(pool: AnyPool, mut entries: mpsc::Receiver<Entry>) {
    let mut batch = Vec::new();
    while entries.recv_many(&mut batch, TOGETHER).await > 0 {
        let (jobs, waiting): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        let result = commit(&pool, jobs).await;
        for done in waiting {
            let _ = done.send(result.clone());
        }
    }
}

async fn commit(pool: &AnyPool, jobs: Vec<Job>) -> Result<()> {
    let mut connection = pool.acquire().await?;
    let result = all(&mut connection, jobs).await;
    if result.is_err() {
        // Where the disk is full there is nothing to undo any more: SQLite has done that.
        let _ = connection.execute("ROLLBACK").await;
    }
    result
}

/// In plain words to the database, since it ends a transaction by itself when its disk fails.
async fn all(connection: &mut AnyConnection, jobs: Vec<Job>) -> Result<()> {
    connection.execute("BEGIN IMMEDIATE").await?;
    for job in jobs {
        connection.execute("SAVEPOINT job").await?;
        if let Err(error) = job(connection).await {
            // What one does not want undoes nothing of the others.
            connection.execute("ROLLBACK TO job").await.map_err(|_| error)?;
        }
        connection.execute("RELEASE job").await?;
    }
    connection.execute("COMMIT").await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_database_lies_where_its_path_says_whatever_characters_that_has() {
        for odd in ["50% off", "a#b", "a?b", "p%41", "ä ü", "it's", "a&b=c", "x:y@z", "[::1]"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(odd);
            std::fs::create_dir(&path).unwrap();
            let file = path.join("pilot.db");
            Sqlite::open(&file).await.unwrap().close().await;
            assert!(file.metadata().unwrap().len() > 0, "{odd}");
            let names = std::fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(names, 1, "{odd}");
        }
    }

    #[tokio::test]
    async fn what_one_job_does_not_want_undoes_nothing_of_those_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = Sqlite::open(&folder.path().join("pilot.db")).await.unwrap();
        let insert = |name: &'static str, result: Result<()>| -> Job {
            Box::new(move |connection| {
                Box::pin(async move {
                    let query =
                        sqlx::query("INSERT INTO installation (name, value) VALUES ($1, '')").bind(name);
                    query.execute(connection).await?;
                    result
                })
            })
        };
        let jobs = vec![
            insert("a", Ok(())),
            insert("b", Err(StoreError::Gone)),
            insert("a", Ok(())),
            insert("c", Ok(())),
        ];
        commit(&database.pool, jobs).await.unwrap();
        let names = sqlx::query_scalar::<_, String>("SELECT name FROM installation ORDER BY name");
        assert_eq!(names.fetch_all(&database.pool).await.unwrap(), ["a", "c"]);
    }
}
