//! Small files that several processes change: one after the other, and each sees what the one before has written.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The only way to such a file's new content: whoever has it is alone with the file until it is dropped.
pub struct Turn {
    path: PathBuf,
    _lock: Option<File>,
}

impl Turn {
    /// Waits until nobody else has the file. The lock is on another one beside it, which stays: the file itself is
    /// replaced, and with it would go what others wait for.
    pub fn of(path: PathBuf) -> Result<Self> {
        let beside = beside(&path, "lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(beside)?;
        let locked = loop {
            match file.lock() {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let lock = match locked {
            Ok(()) => Some(file),
            // Some network file systems have none; a file there is better than none at all.
            Err(error) if error.kind() == ErrorKind::Unsupported => None,
            Err(error) => return Err(error),
        };
        Ok(Self { path, _lock: lock })
    }

    /// Written beside and renamed, so that a reader sees all of it or what was there before. Only its owner can read it.
    pub fn write(&self, content: &impl serde::Serialize) -> Result<()> {
        self.write_bytes(&serde_json::to_vec_pretty(content).map_err(Error::from)?)
    }

    /// The same for what is no JSON.
    pub fn write_bytes(&self, content: &[u8]) -> Result<()> {
        self.replace(content, 0o600)
    }

    /// The same for a file that has a mode of its own already.
    pub fn replace(&self, content: &[u8], mode: u32) -> Result<()> {
        let fresh = beside(&self.path, &format!("{}.new", std::process::id()));
        // What an earlier process of this number left may have other rights.
        let _ = std::fs::remove_file(&fresh);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        let written = file
            .write_all(content)
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&fresh, &self.path));
        if written.is_err() {
            let _ = std::fs::remove_file(&fresh);
        }
        written
    }

    pub fn remove(&self) -> Result<()> {
        std::fs::remove_file(&self.path)
    }
}

/// `contexts.json.lock`.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}
