//! Pulumi's states where they lie: files in the data folder, or rows of the table that Pulumi's backend for PostgreSQL has.
//! Both know them by the same keys, so that a state of one place is a state of the other.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::{ErrorCode, Problem};
use serde::de::IgnoredAny;
use sqlx::{AnyConnection, Executor as _};

use crate::data::unusable;
use crate::store::StoreError;

/// Where states are.
pub enum States<'a> {
    /// The folder that has `.pulumi` in it.
    Folder(PathBuf),
    /// A connection to the database that has the table. Pulumi's keys begin there with the database's name.
    Table(&'a mut AnyConnection),
}

/// One of them. What replaces it later is another file, so that this one is whole.
pub struct State {
    pub size: u64,
    pub content: Box<dyn Read>,
}

/// What is taken along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// What stacks can be worked on with.
    Needed,
    /// That, and the history of changes that people read.
    AndHistory,
}

impl Which {
    /// Locks, journals and copies are of the place and of its processes. A change that a process left in its journal is made
    /// again: every module finds what is there before it makes anything.
    fn takes(self, key: &str) -> bool {
        let is_whole = |key: &str| [".json", ".json.gz", ".json.zst"].iter().any(|end| key.ends_with(end));
        key == META
            || (key.starts_with(STACKS) && is_whole(key))
            || (self == Which::AndHistory && key.starts_with(".pulumi/history/") && is_whole(key))
    }
}

const META: &str = ".pulumi/meta.yaml";
const STACKS: &str = ".pulumi/stacks/";

/// As Pulumi makes it.
const TABLE: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS pulumi_state (key TEXT PRIMARY KEY, data JSON NOT NULL,
     updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now())",
    "CREATE INDEX IF NOT EXISTS pulumi_state_key_prefix_idx ON pulumi_state (key text_pattern_ops)",
];

/// The stack that a state is of; `None` for what is no state.
pub fn stack(key: &str) -> Option<&str> {
    key.strip_prefix(STACKS)?.rsplit('/').next()?.split('.').next()
}

/// A state is JSON with a checkpoint in it; the reason where it is not. In bounded memory, however large it is.
pub fn check(key: &str, content: impl Read) -> Result<(), String> {
    #[derive(serde::Deserialize)]
    struct Outer {
        #[serde(rename = "checkpoint")]
        _checkpoint: IgnoredAny,
    }
    if stack(key).is_none() || !key.ends_with(".json") {
        return Ok(());
    }
    let read = serde_json::from_reader::<_, Outer>(std::io::BufReader::new(content));
    read.map(drop).map_err(|error| error.to_string())
}

impl States<'_> {
    /// The keys of all that there are, sorted.
    pub async fn keys(&mut self, which: Which) -> Result<Vec<String>, Problem> {
        let mut keys = match self {
            States::Folder(root) => files(root)?,
            States::Table(connection) => {
                if !has_table(connection).await? {
                    return Ok(Vec::new());
                }
                let keys = sqlx::query_scalar(
                    "SELECT substr(key, length(current_database()) + 2) FROM pulumi_state
                     WHERE starts_with(key, current_database() || '/')",
                );
                keys.fetch_all(&mut **connection).await.map_err(StoreError::from)?
            }
        };
        keys.retain(|key| which.takes(key));
        keys.sort_unstable();
        Ok(keys)
    }

    /// `None` where it has gone since its key was listed.
    pub async fn open(&mut self, key: &str) -> Result<Option<State>, Problem> {
        match self {
            States::Folder(root) => {
                let path = root.join(key);
                let file = match File::open(&path) {
                    Ok(file) => file,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(unusable(&path, &error)),
                };
                let size = file.metadata().map_err(|error| unusable(&path, &error))?.len();
                Ok(Some(State { size, content: Box::new(file) }))
            }
            States::Table(connection) => {
                let data = sqlx::query_scalar::<_, String>(
                    "SELECT data->>'data' FROM pulumi_state WHERE key = current_database() || '/' || $1",
                );
                let data =
                    data.bind(key).fetch_optional(&mut **connection).await.map_err(StoreError::from)?;
                let Some(data) = data else { return Ok(None) };
                let data = STANDARD.decode(data).map_err(|error| {
                    Problem::new(ErrorCode::StateCorrupt, format!("The state {key} cannot be read: {error}."))
                })?;
                Ok(Some(State { size: data.len() as u64, content: Box::new(Cursor::new(data)) }))
            }
        }
    }

    /// Writes it whole, in the place of what is there.
    pub async fn put(&mut self, key: &str, content: &mut dyn Read) -> Result<(), Problem> {
        let strange = || Problem::new(ErrorCode::BackupDamaged, format!("{key} is no name of a state."));
        if !key.starts_with(".pulumi/") || key.split('/').any(|part| part.is_empty() || part == "..") {
            return Err(strange());
        }
        match self {
            States::Folder(root) => {
                let path = root.join(key);
                let mut write = || {
                    let folder = path.parent().unwrap_or(root);
                    std::fs::create_dir_all(folder)?;
                    let mut file = tempfile::NamedTempFile::new_in(folder)?;
                    std::io::copy(content, file.as_file_mut())?;
                    file.as_file().sync_all()?;
                    file.persist(&path).map_err(|error| error.error)?;
                    File::open(folder)?.sync_all()
                };
                write().map_err(|error| unusable(&path, &error))
            }
            States::Table(connection) => {
                let mut data = Vec::new();
                content.read_to_end(&mut data).map_err(|error| {
                    Problem::new(ErrorCode::BackupUnusable, format!("{key} cannot be read: {error}."))
                })?;
                let data = serde_json::json!({ "data": STANDARD.encode(data) }).to_string();
                let put = sqlx::query(
                    "INSERT INTO pulumi_state (key, data) VALUES (current_database() || '/' || $1, $2::json)
                     ON CONFLICT (key) DO UPDATE SET data = EXCLUDED.data, updated_at = now()",
                );
                put.bind(key).bind(data).execute(&mut **connection).await.map_err(StoreError::from)?;
                Ok(())
            }
        }
    }

    /// Makes the place where there is none.
    pub async fn make(&mut self) -> Result<(), Problem> {
        match self {
            States::Folder(root) => std::fs::create_dir_all(&*root).map_err(|error| unusable(root, &error)),
            States::Table(connection) => {
                for statement in TABLE {
                    connection.execute(statement).await.map_err(StoreError::from)?;
                }
                Ok(())
            }
        }
    }

    /// Removes what has one of these keys.
    pub async fn remove(&mut self, keys: &[String]) -> Result<(), Problem> {
        for key in keys {
            match self {
                States::Folder(root) => {
                    let path = root.join(key);
                    std::fs::remove_file(&path).map_err(|error| unusable(&path, &error))?;
                }
                States::Table(connection) => {
                    let delete =
                        sqlx::query("DELETE FROM pulumi_state WHERE key = current_database() || '/' || $1")
                            .bind(key);
                    delete.execute(&mut **connection).await.map_err(StoreError::from)?;
                }
            }
        }
        Ok(())
    }
}

async fn has_table(connection: &mut AnyConnection) -> Result<bool, Problem> {
    let found = sqlx::query_scalar::<_, String>("SELECT COALESCE(to_regclass('pulumi_state')::text, '')");
    let found = found.fetch_one(connection).await.map_err(StoreError::from)?;
    Ok(!found.is_empty())
}

/// What is below the folder, as keys.
fn files(root: &Path) -> Result<Vec<String>, Problem> {
    let mut keys = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unusable(&path, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| unusable(&path, &error))?;
            // What Pulumi names is UTF-8.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let key = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(key),
                Ok(kind) if kind.is_file() => keys.push(key),
                _ => {}
            }
        }
    }
    Ok(keys)
}
