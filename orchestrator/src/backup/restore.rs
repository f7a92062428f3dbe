//! Puts a backup in an empty place.

use std::path::{Path, PathBuf};

use contracts::{ErrorCode, Problem};

use super::seal::{Key, damaged};
use super::unpack::{Places, unpack};
use super::{Installation, Read, Tell};
use crate::data::{Layout, RESTORING, lock, unusable, write_private};
use crate::engine::without_password;
use crate::states::{States, Which};
use crate::store::Mark;
use crate::store::copy::{Copier, Place};

/// Orchestrators of the place that the backup is from may still run. Modules refuse a fence that is lower than one they have
/// seen; a take-over raises it by one, so that a million is out of their reach. The generation is raised likewise: workspaces
/// may have been updated since the backup, and a lower one than what is outside is refused for good. Nobody has a lease here,
/// and what ran is taken over as after a crash.
pub(crate) const RAISE: [&str; 3] = [
    "UPDATE runtimes SET fence = fence + 1000000, generation = generation + 1000, revision = revision + 1",
    "UPDATE leases SET fence = fence + 1000000, holder = '', until = 0",
    "UPDATE operations SET claimer = NULL, lease_until = 0 WHERE state = 'running'",
];

/// Puts a backup in a data folder that is empty, and with a database its rows and states there. A restore that was ended
/// begins anew when it is called again.
pub async fn restore(file: &Path, key: &Key, to: &Installation, tell: Tell<'_>) -> Result<Read, Problem> {
    // All of it is good before anything is written.
    let first = unpack(file, key, Places::default(), &mut |part| tell(&format!("checking {part}"))).await?;
    let layout = &to.layout;
    if !layout.root.join("lock").exists() {
        // A folder of somebody else's gets no lock either.
        clear(layout)?;
    }
    std::fs::create_dir_all(&layout.root).map_err(|error| unusable(&layout.root, &error))?;
    let _lock = lock(&layout.root)?;
    clear(layout)?;
    make_private(&layout.root)?;
    let marker = layout.root.join(RESTORING);
    let name = file.display().to_string();
    let place = to.place();
    let begin = || write_private(&marker, name.as_bytes()).map_err(|error| unusable(&marker, &error));
    let mut store = match &place {
        Place::Server(url) => {
            let store = empty_server(url, &place, first.manifest.schema).await?;
            begin().map(|()| store)?
        }
        Place::File(_) => {
            begin()?;
            Copier::make(&place, first.manifest.schema).await?
        }
    };
    for folder in [layout.root.join("secrets"), layout.pulumi(), layout.replaced()] {
        make_private(&folder)?;
    }
    let states_are_rows = to.database.is_some();
    store.begin_writing().await?;
    let mut states = match states_are_rows {
        true => States::Table(&mut store.connection),
        false => States::Folder(layout.state()),
    };
    states.make().await?;
    let tables = store.tables().await?;
    store.clear(&tables).await?;
    if states_are_rows {
        let mut states = States::Table(&mut store.connection);
        let keys = states.keys(Which::AndHistory).await?;
        states.remove(&keys).await?;
    }
    let into = Places { layout: Some(layout), store: Some(&mut store), states_are_rows };
    let mut read = unpack(file, key, into, tell).await?;
    store.settle(&tables).await?;
    for (table, sum) in store.sums(&tables).await? {
        if read.tables.get(&table).is_none_or(|told| told.sum != sum) {
            return Err(damaged(format!("The rows of {table} are not there as they were in the backup.")));
        }
    }
    read.damaged = first.damaged;
    read.workspaces = store.workspaces().await?;
    store.run(&RAISE).await?;
    store.commit().await?;
    let end = || {
        std::fs::remove_file(&marker)?;
        std::fs::File::open(&layout.root)?.sync_all()
    };
    end().map_err(|error| unusable(&marker, &error))?;
    if states_are_rows {
        store.set_mark(Mark::Filling, None).await?;
    }
    store.close().await?;
    Ok(read)
}

/// Refuses a folder that has anything in it, but for what a restore that was ended has left: that is removed.
fn clear(layout: &Layout) -> Result<(), Problem> {
    let root = &layout.root;
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unusable(root, &error)),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        path.file_name()
            .is_some_and(|name| ["lock", "lost+found", "restoring.new"].iter().all(|other| name != *other))
    });
    if !root.join(RESTORING).exists() {
        return match paths.is_empty() {
            true => Ok(()),
            false => Err(exists(format!("The data folder {} is not empty.", root.display()))),
        };
    }
    let ours = ["secrets", "pulumi", "opencode.json", "pilot.db", "pilot.db-wal", "pilot.db-shm"];
    for path in ours.map(|name| root.join(name)) {
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(unusable(&path, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// With the word that it is being filled.
async fn empty_server(url: &str, place: &Place, schema: i64) -> Result<Copier, Problem> {
    let mut store =
        Copier::make(place, schema).await.map_err(|error| crate::server::cannot_join(url, error.0))?;
    store.begin_writing().await?;
    if store.mark(Mark::Filling).await?.is_none_or(|said| said != RESTORE) {
        if !store.is_empty().await?
            || !States::Table(&mut store.connection).keys(Which::AndHistory).await?.is_empty()
        {
            return Err(exists(format!("The database {} holds an installation.", without_password(url))));
        }
        store.set_mark(Mark::Filling, Some(RESTORE)).await?;
    }
    store.commit().await?;
    Ok(store)
}

const RESTORE: &str = "restore";

pub fn exists(detail: String) -> Problem {
    Problem::new(ErrorCode::InstallationExists, detail)
        .with_action("Name an empty one. What is there was left as it is.")
}

fn make_private(folder: &Path) -> Result<(), Problem> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)))
        .map_err(|error| unusable(folder, &error))
}
