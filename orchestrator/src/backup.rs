//! Backups of an installation: the store's rows, the stacks' states and the secrets, in one encrypted file. Both stores write
//! and read the same file, so that what one has kept the other can be given.
//!
//! What providers keep stays where it is, and with it the homes of the workspaces.

mod archive;
mod create;
mod restore;
mod seal;
mod unpack;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use contracts::{ErrorCode, Problem};
use serde::Serialize;

use crate::data::Layout;
use crate::store::Store;
use crate::store::copy::{Copier, Place};
use archive::TableSum;
use seal::damaged;
use unpack::{Places, unpack};

pub use archive::Manifest;
pub use create::create;
pub use restore::restore;
pub(crate) use restore::{RAISE, exists};
pub use seal::Key;

/// What parts are named.
const SECRETS: &str = "secrets/";
const PULUMI: &str = "pulumi/";
/// States that an import has replaced, which only people read.
const REPLACED: &str = "replaced/";
const CONFIG: &str = "config/opencode.json";

/// Hears what is being done.
pub type Tell<'a> = &'a mut dyn FnMut(&str);

/// Where an installation is, or is to be.
#[derive(Debug, Clone)]
pub struct Installation {
    /// Its secrets, and without a database all else.
    pub layout: Layout,
    /// A `postgres://`.
    pub database: Option<String>,
}

impl Installation {
    fn place(&self) -> Place {
        match &self.database {
            Some(url) => Place::Server(url.clone()),
            None => Place::File(self.layout.database()),
        }
    }

    /// Its store, if there is one.
    async fn open(&self) -> Result<Copier, Problem> {
        let root = self.layout.root.display();
        let none = |detail: String| {
            Problem::new(ErrorCode::DataFolderUnusable, detail)
                .with_action("Name the data folder with --data, and where the store is a PostgreSQL, that with PILOT_DATABASE.")
        };
        crate::data::must_be_restored(&self.layout)?;
        let mut store = match &self.database {
            Some(url) => {
                let store = Copier::open(&self.place()).await;
                store.map_err(|error| crate::server::cannot_join(url, error.0))?
            }
            None if !self.layout.database().exists() => {
                return Err(none(format!("The data folder {root} has no store.")));
            }
            None => Copier::open(&self.place()).await?,
        };
        if store.version().await?.is_none() {
            return Err(none("There are no tables of Pilot in the store.".to_owned()));
        }
        Ok(store)
    }
}

/// A backup that was made.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    pub file: PathBuf,
    pub bytes: u64,
    pub manifest: Manifest,
    pub states: u64,
    pub rows: BTreeMap<String, u64>,
    /// States that are in it and cannot be read: `pilot stack repair` mends them, and then there can be a better backup.
    pub damaged: Vec<String>,
}

/// A backup that was read to its end, and is good.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Read {
    pub manifest: Manifest,
    pub states: u64,
    pub rows: BTreeMap<String, u64>,
    pub workspaces: u64,
    /// Stacks of workspaces that the rows do not know: being deleted when the backup was made, or left over.
    pub orphans: Vec<String>,
    /// Runtimes that were being made: what exists of them is found by its labels.
    pub without_state: Vec<String>,
    /// States that could not be read when the backup was made.
    pub damaged: Vec<String>,
    #[serde(skip)]
    tables: BTreeMap<String, TableSum>,
}

/// Reads a backup to its end: the digest of every part and what it counts, that each state can be read, and that this
/// version's store opens with its rows, in a folder within `temporary` that is gone afterwards. Changes nothing else.
pub async fn verify(file: &Path, key: &Key, temporary: &Path, tell: Tell<'_>) -> Result<Read, Problem> {
    let manifest = unpack(file, key, Places::default(), tell).await?.manifest;
    let shown = temporary.display();
    let full = || {
        let detail = format!("There is no space left in {shown}, where the backup's rows are tried.");
        crate::data::full(&detail, "that disk, or name another folder with TMPDIR")
    };
    let scratch = tempfile::tempdir_in(temporary).map_err(|error| match error.kind() {
        std::io::ErrorKind::StorageFull => full(),
        _ => Problem::new(ErrorCode::BadRequest, format!("No folder can be made in {shown}: {error}."))
            .with_action("Name a folder that you may write to with TMPDIR."),
    })?;
    let checked = check_store(file, key, scratch.path(), manifest.schema, tell).await;
    // Nothing else is written.
    checked.map_err(|problem| if problem.code == ErrorCode::StoreFull { full() } else { problem })
}

async fn check_store(
    file: &Path,
    key: &Key,
    scratch: &Path,
    schema: i64,
    tell: Tell<'_>,
) -> Result<Read, Problem> {
    let path = scratch.join("pilot.db");
    let mut store = Copier::make(&Place::File(path.clone()), schema).await?;
    store.begin_writing().await?;
    let tables = store.tables().await?;
    let mut read = unpack(file, key, Places { store: Some(&mut store), ..Places::default() }, tell).await?;
    store.settle(&tables).await?;
    store.commit().await?;
    store.close().await?;
    let store = Store::open(&path).await?;
    read.workspaces = store.workspaces().await?.len() as u64;
    store.close().await;
    match read.damaged.as_slice() {
        [] => Ok(read),
        some => {
            Err(damaged(format!("These states were damaged when the backup was made: {}.", some.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests;
