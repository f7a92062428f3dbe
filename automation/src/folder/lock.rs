//! Locks of a folder backend. One whose owner is proven dead is removed; any other is left alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::owner::{self, Owner, Verdict};
use crate::error::{Error, Result};

/// How long the writing of a lock may take: it is a hundred bytes.
const WRITING: Duration = Duration::from_secs(1);

/// How often is looked whether a lock is still there.
const PAUSE: Duration = Duration::from_millis(50);

/// Removes locks of dead processes and waits until `deadline` for others to be released.
pub(super) async fn settle(backend: &Path, locks: &Path, stack: &str, deadline: Instant) -> Result<()> {
    let began = Instant::now();
    loop {
        let Some(living) = first_living(backend, locks, began.elapsed() >= WRITING) else {
            return Ok(());
        };
        // One that is being written gets its time, whatever the deadline.
        if Instant::now() >= deadline && !(living.writing && began.elapsed() < WRITING) {
            let (stack, Living { owner, unproven, .. }) = (stack.to_owned(), living);
            return Err(Error::ConcurrentUpdate { stack, owner, unproven });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// True where a process of this machine has a lock here.
pub(super) fn is_of(locks: &Path, pid: i32) -> bool {
    let me = Owner::of(pid);
    let mut entries = std::fs::read_dir(locks).into_iter().flatten().flatten();
    entries.any(|entry| {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        serde_json::from_str::<Owner>(&text)
            .is_ok_and(|lock| (lock.pid, lock.hostname) == (me.pid, me.hostname.clone()))
    })
}

struct Living {
    owner: String,
    unproven: bool,
    writing: bool,
}

/// The owner of a lock that may be alive; dead ones are removed on the way.
fn first_living(backend: &Path, locks: &Path, written: bool) -> Option<Living> {
    let entries = std::fs::read_dir(locks).ok()?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "json") || is_unfinished(path));
    let mut living = None;
    for path in paths {
        if is_unfinished(&path) {
            if written {
                tracing::warn!(lock = %path.display(), "removing a lock that was never finished");
                let _ = std::fs::remove_file(&path);
            } else {
                let owner = format!("an unknown owner ({} is being written)", path.display());
                living = Some(Living { owner, unproven: false, writing: true });
            }
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let of = |owner: String, unproven: bool| Some(Living { owner, unproven, writing: false });
        let Ok(lock) = serde_json::from_str::<Owner>(&text) else {
            living = of(format!("an unknown owner ({} cannot be read)", path.display()), true);
            continue;
        };
        // Anybody may have written it: shown as text, and never as orders to a terminal.
        let (user, host) = (lock.username.escape_debug(), lock.hostname.escape_debug());
        let who = format!("{user}@{host} (pid {})", lock.pid);
        match verdict(backend, &lock) {
            Verdict::Alive => living = of(who, false),
            Verdict::Unknown => living = of(who, true),
            Verdict::Dead => {
                tracing::warn!(lock = %path.display(), pid = lock.pid, "removing the lock of a dead process");
                let _ = std::fs::remove_file(&path);
                // The folder backend keeps a side file with each of its files.
                let _ = std::fs::remove_file(path.with_extension("json.attrs"));
                forget(backend, &lock);
            }
        }
    }
    living
}

/// Of all owner files that may be the lock's: it is dead only if each of them is.
fn verdict(backend: &Path, lock: &Owner) -> Verdict {
    let mut found = Verdict::Unknown;
    for (path, owner) in owners(backend, lock) {
        match owner.verdict(backend, &path) {
            Verdict::Dead => found = Verdict::Dead,
            other => return other,
        }
    }
    found
}

/// Removes the owner files that are of no use without this lock.
fn forget(backend: &Path, lock: &Owner) {
    for (path, owner) in owners(backend, lock) {
        if owner.stack.is_some() {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn owners(backend: &Path, lock: &Owner) -> Vec<(PathBuf, Owner)> {
    let entries = std::fs::read_dir(owner::folder(backend)).into_iter().flatten().flatten();
    let read = entries.filter_map(|entry| {
        let text = std::fs::read_to_string(entry.path()).ok()?;
        Some((entry.path(), serde_json::from_str::<Owner>(&text).ok()?))
    });
    read.filter(|(_, owner)| owner.pid == lock.pid && owner.hostname == lock.hostname).collect()
}

/// Written under this name and then renamed: who is killed in between leaves it, and the engine takes
/// every file of the folder for a lock. Without it the renaming fails, so that its removal can only keep
/// its writer, if that lives, from having the lock.
fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.contains(".json.") && name.ends_with(".tmp")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        backend: tempfile::TempDir,
        locks: PathBuf,
    }

    impl World {
        fn new() -> Self {
            let backend = tempfile::tempdir().unwrap();
            let locks = backend.path().join(".pulumi/locks/organization/p/s");
            std::fs::create_dir_all(&locks).unwrap();
            std::fs::create_dir_all(owner::folder(backend.path())).unwrap();
            Self { backend, locks }
        }

        fn lock(&self, name: &str, owner: &Owner) -> PathBuf {
            let path = self.locks.join(name);
            let lock = serde_json::json!(
                {"pid": owner.pid, "username": owner.username, "hostname": owner.hostname, "timestamp": "x"}
            );
            std::fs::write(&path, lock.to_string()).unwrap();
            path
        }

        fn announce(&self, owner: &Owner) -> PathBuf {
            let path = owner.file(self.backend.path());
            std::fs::write(&path, serde_json::to_string(owner).unwrap()).unwrap();
            path
        }

        async fn settle(&self) -> Result<()> {
            settle(self.backend.path(), &self.locks, "s", Instant::now()).await
        }
    }

    /// A process that surely is not running: a child that has been waited for.
    fn dead() -> Owner {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let owner = Owner { stack: Some("s".to_owned()), ..Owner::of(child.id() as i32) };
        child.wait().unwrap();
        owner
    }

    #[tokio::test]
    async fn the_lock_of_a_process_that_is_proven_dead_is_removed_with_its_owner_file() {
        let world = World::new();
        let (unannounced, announced) = (dead(), dead());
        let kept = world.lock("a.json", &unannounced);
        let removed = world.lock("b.json", &announced);
        let owner_file = world.announce(&announced);
        // Of the first nothing is proven.
        assert!(world.settle().await.is_err());
        assert!(!removed.exists() && !owner_file.exists() && kept.exists());
    }

    #[tokio::test]
    async fn the_lock_of_a_living_process_is_kept_and_its_owner_named() {
        let world = World::new();
        let own = Owner::of(std::process::id() as i32);
        let path = world.lock("a.json", &own);
        world.announce(&own);
        let error = world.settle().await.unwrap_err().to_string();
        assert!(path.exists() && error.contains(&format!("(pid {})", own.pid)), "{error}");
        assert!(!error.contains("pulumi cancel"), "it is known to live: {error}");
    }

    #[tokio::test]
    async fn a_lock_of_which_nothing_is_proven_is_kept_and_the_way_out_is_told() {
        let world = World::new();
        let elsewhere = Owner { hostname: "elsewhere".to_owned(), ..dead() };
        for (name, owner) in [("a.json", dead()), ("b.json", elsewhere)] {
            let path = world.lock(name, &owner);
            let error = world.settle().await.unwrap_err();
            assert!(path.exists() && error.to_string().contains("`pulumi cancel s`"), "{error}");
            let Error::ConcurrentUpdate { owner: told, unproven: true, .. } = error else {
                panic!("{error}")
            };
            assert_eq!(told, format!("{}@{} (pid {})", owner.username, owner.hostname, owner.pid));
            std::fs::remove_file(path).unwrap();
        }
    }

    #[tokio::test]
    async fn a_clock_that_is_set_makes_no_lock_old() {
        let world = World::new();
        let own = Owner::of(std::process::id() as i32);
        let path = world.lock("a.json", &own);
        world.announce(&own);
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(1_000_000);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        assert!(world.settle().await.is_err());
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_lock_that_was_never_finished_is_removed_after_the_time_that_a_writer_needs() {
        let world = World::new();
        let path = world.locks.join("b.json.18f.tmp");
        std::fs::write(&path, "").unwrap();
        let began = Instant::now();
        world.settle().await.unwrap();
        assert!(!path.exists() && began.elapsed() >= WRITING);
    }

    #[tokio::test]
    async fn no_lock_folder_means_no_lock() {
        let nowhere = Path::new("/nonexistent");
        settle(nowhere, nowhere, "s", Instant::now()).await.unwrap();
    }
}
