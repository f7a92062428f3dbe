//! Says which process of the CLI is about to lock a stack, so that its death can be proven later.

use std::path::{Path, PathBuf};

use super::owner::Owner;
use super::{Files, lock, owner};
use crate::engine::Place;
use crate::error::{Error, Result};

/// The owner file of one process of the CLI. It stays when the process is killed, and goes with its lock.
#[derive(Debug)]
pub(crate) struct Announcement {
    file: PathBuf,
    locks: PathBuf,
    pid: i32,
}

impl Announcement {
    /// For a process that was started to change a stack; none where the backend is no folder. It comes before the
    /// process can have its lock: the CLI needs a quarter of a second for that.
    pub fn write(place: &Place, stack: &str, pid: u32) -> Result<Option<Self>> {
        let Some(files) = Files::of(place, stack) else { return Ok(None) };
        let Ok(pid) = i32::try_from(pid) else { return Ok(None) };
        let locks = files.locks;
        let owner = Owner { stack: Some(files.stack), ..Owner::of(pid) };
        let file = owner.file(&files.backend);
        write(&owner, &files.backend, &file).map_err(Error::io("write the owner file of a process"))?;
        Ok(Some(Self { file, locks, pid }))
    }

    /// The process has ended. If it has left its lock, this still proves it dead.
    pub fn ended(self) {
        if !lock::is_of(&self.locks, self.pid) {
            let _ = std::fs::remove_file(self.file);
        }
    }
}

fn write(owner: &Owner, backend: &Path, file: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(owner::folder(backend))?;
    let temporary = file.with_extension("json.tmp");
    std::fs::write(&temporary, serde_json::to_vec(owner)?)?;
    std::fs::rename(temporary, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Backend;
    use crate::recorder::Recorder;

    #[test]
    fn a_process_that_has_left_its_lock_is_still_known_when_it_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut place = Recorder::default().workspace().place().clone();
        place.backend = Backend::Folder(folder.path().to_owned());
        let announce = || Announcement::write(&place, "dev", std::process::id()).unwrap().unwrap();
        let files = Files::of(&place, "dev").unwrap();

        let (announced, file) = (announce(), announce().file);
        announced.ended();
        assert!(!file.exists(), "it had no lock");

        std::fs::create_dir_all(&files.locks).unwrap();
        let lock = |pid| {
            let owner = Owner { pid, ..Owner::of(std::process::id() as i32) };
            std::fs::write(files.locks.join("lock.json"), serde_json::to_vec(&owner).unwrap()).unwrap();
        };
        lock(std::process::id() as i32);
        announce().ended();
        assert!(file.exists());
        lock(1);
        announce().ended();
        assert!(!file.exists(), "the lock is another's");
    }
}
