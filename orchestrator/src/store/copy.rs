//! All rows of a store, out of one database and into another. Which tables and columns there are is the database's own word:
//! a table that comes with a migration is copied without a line here. A row is a JSON object in both.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};
use contracts::{ErrorCode, Problem};
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

use super::marks::NO_MARKS;
use super::{StoreError, migrations, sqlite};

/// What went wrong, with the database's own words: whoever copies is the operator.
#[derive(Debug)]
pub struct CopyError(pub StoreError);

pub type Result<T> = std::result::Result<T, CopyError>;

impl<E> From<E> for CopyError
where
    StoreError: From<E>,
{
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl From<CopyError> for Problem {
    fn from(error: CopyError) -> Self {
        match error.0 {
            StoreError::Away(why) | StoreError::Database(why) => {
                let detail = format!("The database cannot be used: {why}.");
                Problem::new(ErrorCode::StoreUnavailable, detail)
                    .with_action("Mend that, then run the command again.")
            }
            error => error.into(),
        }
    }
}

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file of SQLite.
    File(PathBuf),
    /// A `postgres://`.
    Server(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    pub columns: Vec<String>,
}

impl Table {
    fn without_marks(&self) -> &'static str {
        if self.name == "installation" { NO_MARKS } else { "" }
    }
}

/// What a table holds, however its rows are ordered and whichever database has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sum {
    pub rows: u64,
    /// Of each row SHA-256, all of them together by exclusive or: no two rows of a table are the same.
    #[serde(with = "hex")]
    pub digest: [u8; 32],
}

/// Digests as people compare them.
pub mod hex {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        let byte = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| D::Error::custom("not 64 hexadecimal digits"))
    }
}

/// One connection to a store, for whoever copies. What it reads in one transaction is of one moment.
pub struct Copier {
    pub(crate) connection: AnyConnection,
    is_file: bool,
}

impl Copier {
    /// A store that is there, as it is; nothing is changed.
    pub async fn open(place: &Place) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let (url, is_file) = match place {
            Place::File(path) => (sqlite::address(path, "rw"), true),
            Place::Server(url) => (url.clone(), false),
        };
        let connection = AnyConnection::connect(&url).await?;
        Ok(Self { connection, is_file })
    }

    /// Makes the tables of this version of the store where there are none.
    pub async fn make(place: &Place, version: i64) -> Result<Self> {
        match place {
            Place::File(path) => {
                sqlite::make(path, migrations::until(migrations::sqlite(), version)).await?;
            }
            Place::Server(url) => {
                super::postgres::make(url, migrations::until(migrations::postgres(), version)).await?;
            }
        }
        Self::open(place).await
    }

    /// Everything that is read from here on is of one moment, whoever writes meanwhile.
    pub async fn begin_reading(&mut self) -> Result<()> {
        let begin = match self.is_file {
            true => "BEGIN",
            false => "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        };
        self.connection.execute(begin).await?;
        // The moment is that of the first look.
        self.version().await.map(drop)
    }

    pub async fn begin_writing(&mut self) -> Result<()> {
        let begin = if self.is_file { "BEGIN IMMEDIATE" } else { "BEGIN" };
        self.connection.execute(begin).await?;
        Ok(())
    }

    pub async fn commit(&mut self) -> Result<()> {
        self.connection.execute("COMMIT").await?;
        Ok(())
    }

    pub async fn close(self) -> Result<()> {
        Ok(self.connection.close().await?)
    }

    /// The number of the last migration; `None` where there is no store at all.
    pub async fn version(&mut self) -> Result<Option<i64>> {
        if self.columns("_sqlx_migrations").await?.is_empty() {
            return Ok(None);
        }
        let version = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations WHERE success");
        Ok(version.fetch_one(&mut self.connection).await?)
    }

    /// The store's tables, those first that others refer to. In a database that is shared with other programs theirs are
    /// left out: what a fresh store has is ours.
    pub async fn tables(&mut self) -> Result<Vec<Table>> {
        if self.is_file {
            return self.all_tables().await;
        }
        let version = self.version().await?.unwrap_or_default();
        sqlx::any::install_default_drivers();
        let fresh = sqlite::in_memory(migrations::until(migrations::sqlite(), version)).await?;
        let mut fresh = Self { connection: fresh, is_file: true };
        let mut tables = fresh.all_tables().await?;
        fresh.close().await?;
        for table in &mut tables {
            table.columns = self.columns(&table.name).await?;
            if table.columns.is_empty() {
                return Err(StoreError::Damaged(format!("the table {} is missing", table.name)).into());
            }
        }
        Ok(tables)
    }

    async fn all_tables(&mut self) -> Result<Vec<Table>> {
        let names = sqlx::query_scalar::<_, String>(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite|_%' ESCAPE '|'
             AND name NOT LIKE '|_sqlx%' ESCAPE '|' ORDER BY name",
        );
        let mut names = names.fetch_all(&mut self.connection).await?;
        let mut tables: Vec<Table> = Vec::new();
        while !names.is_empty() {
            let before = names.len();
            for name in std::mem::take(&mut names) {
                let parents =
                    sqlx::query_scalar::<_, String>("SELECT \"table\" FROM pragma_foreign_key_list($1)");
                let parents = parents.bind(&name).fetch_all(&mut self.connection).await?;
                let is_there =
                    |parent: &String| *parent == name || tables.iter().any(|one| one.name == *parent);
                match parents.iter().all(is_there) {
                    true => {
                        let columns = self.columns(&name).await?;
                        tables.push(Table { name, columns });
                    }
                    false => names.push(name),
                }
            }
            if names.len() == before {
                return Err(StoreError::Damaged(format!("{} refer to each other", names.join(", "))).into());
            }
        }
        Ok(tables)
    }

    async fn columns(&mut self, table: &str) -> Result<Vec<String>> {
        let select = match self.is_file {
            true => "SELECT name FROM pragma_table_info($1) ORDER BY cid",
            false => {
                "SELECT column_name::text FROM information_schema.columns
                 WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position"
            }
        };
        let columns = sqlx::query_scalar(select).bind(table).fetch_all(&mut self.connection);
        Ok(columns.await?)
    }

    /// Each row as a JSON object in one line, its columns in the order of their names. What is NULL is left out: old files of
    /// SQLite have columns that nobody fills any more.
    pub fn rows(&mut self, table: &Table) -> BoxStream<'_, Result<String>> {
        let name = quoted(&table.name);
        let object = match self.is_file {
            true => {
                let pair = |column: &String| format!("{}, {}", text(column), quoted(column));
                format!("json_object({})", table.columns.iter().map(pair).collect::<Vec<_>>().join(", "))
            }
            false => "row_to_json(t)::text".to_owned(),
        };
        let marks = table.without_marks();
        let select = AssertSqlSafe(format!("SELECT {object} FROM {name} t{marks}"));
        let rows = sqlx::query_scalar::<_, String>(select).fetch(&mut self.connection);
        Box::pin(rows.map_err(CopyError::from).and_then(async |row| {
            let mut row: BTreeMap<String, serde_json::Value> =
                serde_json::from_str(&row).map_err(|error| StoreError::Damaged(error.to_string()))?;
            row.retain(|_, value| !value.is_null());
            Ok(super::to_json(&row)?)
        }))
    }

    /// Writes rows as [`Copier::rows`] gives them.
    pub async fn insert(&mut self, table: &Table, rows: &[String]) -> Result<()> {
        let (name, columns) = (quoted(&table.name), list(&table.columns, quoted));
        let insert = match self.is_file {
            true => {
                let from =
                    |column: &str| format!("json_extract(value, {})", text(&format!("$.\"{column}\"")));
                let values = list(&table.columns, from);
                format!("INSERT INTO {name} ({columns}) SELECT {values} FROM json_each($1)")
            }
            false => format!(
                "INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE
                 SELECT {columns} FROM json_populate_recordset(NULL::{name}, $1::json)"
            ),
        };
        let rows = format!("[{}]", rows.join(","));
        sqlx::query(AssertSqlSafe(insert)).bind(rows).execute(&mut self.connection).await?;
        Ok(())
    }

    pub async fn clear(&mut self, tables: &[Table]) -> Result<()> {
        for table in tables.iter().rev() {
            let marks = table.without_marks();
            let delete = AssertSqlSafe(format!("DELETE FROM {}{marks}", quoted(&table.name)));
            sqlx::query(delete).execute(&mut self.connection).await?;
        }
        Ok(())
    }

    /// After the last row: numbers that the database gives go on behind those that it was given.
    pub async fn settle(&mut self, tables: &[Table]) -> Result<()> {
        if self.is_file {
            return Ok(());
        }
        for table in tables {
            let given = sqlx::query_scalar::<_, String>(
                "SELECT column_name::text FROM information_schema.columns
                 WHERE table_schema = current_schema() AND table_name = $1 AND is_identity = 'YES'",
            );
            for column in given.bind(&table.name).fetch_all(&mut self.connection).await? {
                let set = format!(
                    "SELECT setval(pg_get_serial_sequence({}, {}), COALESCE(MAX({}), 0) + 1, false) FROM {}",
                    text(&quoted(&table.name)),
                    text(&column),
                    quoted(&column),
                    quoted(&table.name)
                );
                sqlx::query(AssertSqlSafe(set)).execute(&mut self.connection).await?;
            }
        }
        Ok(())
    }

    /// What every table holds.
    pub async fn sums(&mut self, tables: &[Table]) -> Result<BTreeMap<String, Sum>> {
        let mut sums = BTreeMap::new();
        for table in tables {
            let mut sum = Sum::default();
            let mut rows = self.rows(table);
            while let Some(row) = rows.try_next().await? {
                sum.add(&row);
            }
            drop(rows);
            sums.insert(table.name.clone(), sum);
        }
        Ok(sums)
    }

    /// Whether no table has a row.
    pub async fn is_empty(&mut self) -> Result<bool> {
        for table in self.tables().await? {
            let some = format!("SELECT COUNT(*) FROM {}{}", quoted(&table.name), table.without_marks());
            let some: i64 = sqlx::query_scalar(AssertSqlSafe(some)).fetch_one(&mut self.connection).await?;
            if some > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// See [`Store::belongs_to`](super::Store::belongs_to); `None` where no server was ever started on it.
    pub async fn secrets(&mut self) -> Result<Option<String>> {
        let secrets = sqlx::query_scalar("SELECT value FROM installation WHERE name = 'secrets'");
        Ok(secrets.fetch_optional(&mut self.connection).await?)
    }

    /// How many there are that are not deleted.
    pub async fn workspaces(&mut self) -> Result<u64> {
        let count = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM workspaces WHERE deleted_at IS NULL");
        Ok(count.fetch_one(&mut self.connection).await? as u64)
    }

    /// Statements about the rows as they were copied.
    pub async fn run(&mut self, statements: &[&'static str]) -> Result<()> {
        for statement in statements {
            self.connection.execute(*statement).await?;
        }
        Ok(())
    }
}

impl Sum {
    pub fn add(&mut self, row: &str) {
        self.rows += 1;
        for (sum, byte) in self.digest.iter_mut().zip(digest(&SHA256, row.as_bytes()).as_ref()) {
            *sum ^= byte;
        }
    }
}

/// The newest version of the store that this program knows.
pub fn newest() -> i64 {
    migrations::sqlite().iter().map(|one| one.version).max().unwrap_or_default()
}

fn list(names: &[String], shown: impl Fn(&str) -> String) -> String {
    names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ")
}

/// A name as SQL has it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL has it.
fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
