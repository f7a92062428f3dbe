//! Says which process of the CLI is about to lock a stack, so that its death can be proven later.

use std::path::{Path, PathBuf};

use super::owner::Owner;
use super::{Files, owner};
use crate::engine::Place;
use crate::error::{Error, Result};

/// The owner file of one process of the CLI. It stays when the process is killed, and goes with its lock.
#[derive(Debug)]
pub(crate) struct Announcement {
    file: PathBuf,
}

impl Announcement {
    /// For a process that was started to change a stack; none where the backend is no folder. It comes before the
    /// process can have its lock: the CLI needs a quarter of a second for that.
    pub fn write(place: &Place, stack: &str, pid: u32) -> Result<Option<Self>> {
        let Some(files) = Files::of(place, stack) else { return Ok(None) };
        let Ok(pid) = i32::try_from(pid) else { return Ok(None) };
        let owner = Owner { stack: Some(files.stack), ..Owner::of(pid) };
        let file = owner.file(&files.backend);
        write(&owner, &files.backend, &file).map_err(Error::io("write the owner file of a process"))?;
        Ok(Some(Self { file }))
    }

    /// The process has ended by itself, and has let its lock go.
    pub fn withdraw(self) {
        let _ = std::fs::remove_file(self.file);
    }
}

fn write(owner: &Owner, backend: &Path, file: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(owner::folder(backend))?;
    let temporary = file.with_extension("json.tmp");
    std::fs::write(&temporary, serde_json::to_vec(owner)?)?;
    std::fs::rename(temporary, file)
}
