//! A private folder for the socket of one process.

use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The kernel takes no longer paths of sockets.
const LONGEST: usize = 107;
const PREFIX: &str = "pilot-";
/// In the folder, and locked for as long as somebody needs it: who is killed cannot remove it, and the kernel unlocks it.
const LOCK: &str = "lock";

/// Removed when dropped.
#[derive(Debug)]
pub(super) struct Folder {
    folder: tempfile::TempDir,
    _lock: File,
}

impl Folder {
    /// Only this user can look into it (mode 0700). In the system's temporary folder, or in `/tmp` where the
    /// path of a socket in it would be too long. What processes that were killed have left there is removed.
    pub fn new() -> std::io::Result<Self> {
        Self::in_or_tmp(&std::env::temp_dir())
    }

    fn in_or_tmp(parent: &Path) -> std::io::Result<Self> {
        // The folder's own name, a socket of one letter, and the slashes between.
        let length = parent.as_os_str().as_bytes().len() + "/pilot-XXXXXX/s".len();
        let parent = if length > LONGEST { Path::new("/tmp") } else { parent };
        clear(parent);
        let private = std::fs::Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix(PREFIX).permissions(private).tempdir_in(parent)?;
        // Under its name only once it is locked: one that is not is nobody's.
        let fresh = folder.path().join("new");
        let lock = File::create_new(&fresh)?;
        lock.lock()?;
        std::fs::rename(fresh, folder.path().join(LOCK))?;
        Ok(Self { folder, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Whatever cannot be removed stays for the next one.
fn clear(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        let Some(lock) = is_ours.then(|| File::open(entry.path().join(LOCK)).ok()).flatten() else {
            continue;
        };
        if lock.try_lock().is_ok() && std::fs::remove_dir_all(entry.path()).is_ok() {
            tracing::info!(folder = %entry.path().display(), "what an engine host's driver left is removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_private_and_short_enough_for_a_socket() {
        let parent = tempfile::tempdir().unwrap();
        let deep = parent.path().join("x".repeat(100));
        std::fs::create_dir(&deep).unwrap();
        for (parent, is_in_it) in [(parent.path(), true), (deep.as_path(), false)] {
            let folder = Folder::in_or_tmp(parent).unwrap();
            assert_eq!(folder.path().starts_with(parent), is_in_it);
            let mode = std::fs::metadata(folder.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
            std::os::unix::net::UnixListener::bind(folder.path().join("s")).unwrap();
        }
    }

    #[test]
    fn what_a_killed_process_has_left_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let living = Folder::in_or_tmp(parent.path()).unwrap();
        let Folder { folder, _lock } = Folder::in_or_tmp(parent.path()).unwrap();
        // As the kernel does when a process is killed.
        let dead = folder.keep();
        drop(_lock);
        std::fs::write(dead.join("s"), "").unwrap();
        let strange = ["pilot-backup", "other"].map(|name| parent.path().join(name));
        for folder in &strange {
            std::fs::create_dir(folder).unwrap();
        }
        let next = Folder::in_or_tmp(parent.path()).unwrap();
        assert!(!dead.exists());
        for kept in [living.path(), next.path(), &strange[0], &strange[1]] {
            assert!(kept.exists(), "{}", kept.display());
        }
    }
}
