//! A lock between processes: the orchestrator and a plugin started by `pulumi` may act on the same
//! runtime at the same time. The kernel releases it when its holder dies, however it dies.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use contracts::ErrorCode;
use provider_api::{ProviderError, Result};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::files::{make_folder, unusable};

const TIMEOUT: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(10);

/// Held until it is dropped. The descriptor is close-on-exec, so instances do not inherit it.
pub(crate) struct Lock {
    _file: File,
    path: PathBuf,
}

impl Lock {
    /// Blocks the thread; call it where blocking is allowed.
    pub fn take(path: &Path) -> Result<Self> {
        if let Some(parent) = path.parent() {
            make_folder(parent)?;
        }
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(file) = try_take(path)? {
                return Ok(Self { _file: file, path: path.to_owned() });
            }
            if Instant::now() > deadline {
                let message = format!("{} was held by another Pilot process for {TIMEOUT:?}", path.display());
                return Err(ProviderError::new(ErrorCode::ProviderTimeout, message)
                    .with_action("Try again; if it stays so, look for a hanging pilot or pulumi process."));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Removes the lock's file while the lock is held, so that nothing is left of a deleted runtime.
    /// Whoever waits on the removed file notices and takes a new one.
    pub fn remove(self) -> Result<()> {
        crate::files::remove_file(&self.path)
    }
}

fn try_take(path: &Path) -> Result<Option<File>> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| unusable("open", path, &error))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(None),
        Err(error) => return Err(unusable("lock", path, &error.into())),
    }
    let held = file.metadata().map_err(|error| unusable("read", path, &error))?;
    match fs::metadata(path) {
        Ok(named) if named.ino() == held.ino() && named.dev() == held.dev() => Ok(Some(file)),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable("read", path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn only_one_holds_it_even_while_its_file_is_removed_under_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("locks/rt-1");
        let inside = Arc::new(AtomicU32::new(0));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (path, inside) = (path.clone(), inside.clone());
                std::thread::spawn(move || {
                    for round in 0..20 {
                        let lock = Lock::take(&path).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        if round % 2 == 0 {
                            lock.remove().unwrap();
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }
}
