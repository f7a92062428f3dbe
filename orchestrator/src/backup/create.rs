//! Makes a backup, beside a server that goes on.
//!
//! The states are read first and the rows after them, so that no row is older than its state. A row without a state is then a
//! workspace that was being made: what exists of it is found by its labels. A state without a row is one that was being
//! deleted. In PostgreSQL both are of one moment.

use std::fs::File;
use std::path::Path;

use contracts::{ErrorCode, Problem};
use futures_util::TryStreamExt as _;
use jiff::Timestamp;

use super::archive::{FORMAT, Manifest, Writer, failed};
use super::seal::{Key, Sealer};
use super::{CONFIG, Created, Installation, PULUMI, REPLACED, SECRETS, Tell};
use crate::data::{irreplaceable, other_secrets, unusable};
use crate::engine::without_password;
use crate::states::{States, Which, check, stack};
use crate::store::copy::{Copier, newest};
use crate::store::{Mark, StoreError};

/// So many bytes of rows are one part, and in memory.
const ROWS: usize = 1024 * 1024;

/// Writes a backup of the installation to a new file. What is not finished never has the file's name.
pub async fn create(from: &Installation, out: &Path, key: &Key, tell: Tell<'_>) -> Result<Created, Problem> {
    let mut store = from.open().await?;
    let schema = version(&mut store).await?;
    let database = from.database.as_deref().map(without_password);
    irreplaceable(&from.layout, &database.unwrap_or_else(|| from.layout.database().display().to_string()))?;
    if store.secrets().await?.is_some_and(|told| told != from.layout.secrets_digest()) {
        return Err(other_secrets(&from.layout, from.database.is_some()));
    }
    if from.database.is_some() {
        store.begin_reading().await?;
    }
    let folder = match out.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if out.exists() {
        return Err(exists(out));
    }
    let file = tempfile::Builder::new().prefix(".pilot-backup-").suffix(".part").tempfile_in(folder);
    let file = file.map_err(|error| failed(&error))?;
    let handle = file.as_file().try_clone().map_err(|error| failed(&error))?;
    let manifest = Manifest {
        format: FORMAT,
        pilot: env!("CARGO_PKG_VERSION").to_owned(),
        schema,
        created: Timestamp::now(),
        installation: from.layout.read_secret("installation").unwrap_or_default(),
        store: if from.database.is_some() { "postgres" } else { "sqlite" }.to_owned(),
    };
    let mut writer = Writer::new(Sealer::new(handle, key).map_err(|error| failed(&error))?, &manifest)?;
    secrets(from, &mut writer)?;
    let (states, damaged) = states(from, &mut store, &mut writer, tell).await?;
    if from.database.is_none() {
        store.begin_reading().await?;
    }
    if version(&mut store).await? != schema {
        let detail = "Another version of Pilot has changed the store's tables meanwhile.";
        return Err(Problem::new(ErrorCode::StoreUnavailable, detail).with_action("Make the backup again."));
    }
    rows(&mut store, &mut writer, tell).await?;
    store.close().await?;
    let (bytes, contents) = writer.finish()?;
    file.persist_noclobber(out).map_err(|error| match error.error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(out),
        _ => failed(&error.error),
    })?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed(&error))?;
    let rows = contents.tables.into_iter().map(|(name, table)| (name, table.sum.rows)).collect();
    Ok(Created { file: out.to_owned(), bytes, manifest, states, rows, damaged })
}

/// Of a store that can be copied.
async fn version(store: &mut Copier) -> Result<i64, Problem> {
    for mark in [Mark::Moved, Mark::Filling] {
        store.mark(mark).await?.map_or(Ok(()), |said| Err(mark.problem(&said)))?;
    }
    match store.version().await? {
        Some(version) if version > newest() => Err(StoreError::Newer.into()),
        version => Ok(version.unwrap_or_default()),
    }
}

/// With the operator's own file for every instance, and the states that imports have replaced.
fn secrets(from: &Installation, writer: &mut Writer) -> Result<(), Problem> {
    let folder = from.layout.root.join("secrets");
    let entries = std::fs::read_dir(&folder).map_err(|error| unusable(&folder, &error))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| unusable(&folder, &error))?;
        // What is being written has another ending.
        let name = entry.file_name().into_string().ok().filter(|name| !name.ends_with(".new"));
        files.extend(name.map(|name| (format!("{SECRETS}{name}"), entry.path())));
    }
    files.sort();
    let config = from.layout.opencode_config();
    if config.exists() {
        files.push((CONFIG.to_owned(), config));
    }
    for (name, path) in files {
        let content = std::fs::read(&path).map_err(|error| unusable(&path, &error))?;
        writer.file(&name, content.len() as u64, content.as_slice())?;
    }
    replaced(from, writer)
}

fn replaced(from: &Installation, writer: &mut Writer) -> Result<(), Problem> {
    let folder = from.layout.replaced();
    if !folder.exists() {
        return Ok(());
    }
    let entries = std::fs::read_dir(&folder).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut paths: Vec<_> =
        entries.map_err(|error| unusable(&folder, &error))?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        // What is being written has another ending.
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".json"));
        let Some(name) = name else { continue };
        match std::fs::read(&path) {
            Ok(content) => {
                writer.file(&format!("{REPLACED}{name}"), content.len() as u64, content.as_slice())?
            }
            // It goes with its stack.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(&path, &error)),
        }
    }
    Ok(())
}

/// How many there are, and which of them cannot be read.
async fn states(
    from: &Installation,
    store: &mut Copier,
    writer: &mut Writer,
    tell: Tell<'_>,
) -> Result<(u64, Vec<String>), Problem> {
    let mut states = match from.database {
        Some(_) => States::Table(&mut store.connection),
        None => States::Folder(from.layout.state()),
    };
    let keys = states.keys(Which::Needed).await?;
    let (all, mut count, mut damaged) = (keys.len(), 0, Vec::new());
    for (number, key) in keys.into_iter().enumerate() {
        tell(&format!("states: {number} of {all}"));
        // One that has gone meanwhile is not missed.
        let Some(state) = states.open(&key).await? else { continue };
        writer.file(&format!("{PULUMI}{key}"), state.size, state.content)?;
        count += u64::from(stack(&key).is_some());
        if let Some(again) = states.open(&key).await?
            && check(&key, again.content).is_err()
        {
            damaged.push(key);
        }
    }
    Ok((count, damaged))
}

async fn rows(store: &mut Copier, writer: &mut Writer, tell: Tell<'_>) -> Result<(), Problem> {
    for table in store.tables().await? {
        tell(&format!("rows: {}", table.name));
        writer.table(&table);
        let (mut batch, mut bytes, mut number) = (Vec::new(), 0, 0);
        let mut rows = store.rows(&table);
        while let Some(row) = rows.try_next().await? {
            bytes += row.len();
            batch.push(row);
            if bytes >= ROWS {
                writer.rows(&table.name, number, &batch)?;
                (bytes, number) = (0, number + 1);
                batch.clear();
            }
        }
        if !batch.is_empty() {
            writer.rows(&table.name, number, &batch)?;
        }
    }
    Ok(())
}

fn exists(out: &Path) -> Problem {
    Problem::new(ErrorCode::BackupUnusable, format!("{} is there already.", out.display()))
        .with_action("Name a file that is not there: a backup never takes the place of another.")
}
