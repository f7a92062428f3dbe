//! Where an instance must be started as root, because a provider's new volume belongs to root: the home is
//! given to the instance's user, with the boot files beside it, and this process begins anew as that user. Nothing is served before.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use contracts::ErrorCode;
use contracts::boot::FOLDER;

/// Who the instance becomes. The same number is user and group, as in the image.
pub const VARIABLE: &str = "PILOT_USER";
/// A volume's own folder, that only root may read.
const RESERVED: &str = "lost+found";

/// Why the instance cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegesError {
    #[error("{VARIABLE} is {0:?} and not the number of a user above 0")]
    NoUser(String),
    #[error("{path} cannot be given to the user {user}: {source}")]
    Home { path: String, user: u32, source: io::Error },
    #[error("the instance cannot go on as the user {user}: {source}")]
    Restart { user: u32, source: io::Error },
}

impl PrivilegesError {
    pub fn code(&self) -> ErrorCode {
        ErrorCode::InstanceFailed
    }
}

/// Does nothing unless this is root and is told whom to become; then it does not return, because the
/// process begins anew.
pub fn give_up(home: &Path) -> Result<(), PrivilegesError> {
    let Some(named) = std::env::var_os(VARIABLE) else { return Ok(()) };
    let named = named.to_string_lossy().into_owned();
    let user = named.parse().ok().filter(|user| *user > 0);
    let user: u32 = user.ok_or(PrivilegesError::NoUser(named))?;
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    give(home, user)?;
    let delivered = std::env::var_os(FOLDER).map(PathBuf::from).filter(|folder| folder.exists());
    delivered.map_or(Ok(()), |folder| give(&folder, user))?;
    let failed = |source| PrivilegesError::Restart { user, source };
    let program = std::env::current_exe().map_err(failed)?;
    let mut again = Command::new(program);
    // Without supplementary groups: the standard library drops root's.
    again.args(std::env::args_os().skip(1)).env_remove(VARIABLE).uid(user).gid(user);
    // Only returns when it fails.
    Err(failed(again.exec()))
}

/// What root owns in the home becomes the user's. A folder that is the user's already is looked into all
/// the same: root wrote this boot's files below it.
fn give(path: &Path, user: u32) -> Result<(), PrivilegesError> {
    let failed = |source| PrivilegesError::Home { path: path.display().to_string(), user, source };
    let found = fs::symlink_metadata(path).map_err(failed)?;
    if found.uid() == 0 {
        lchown(path, Some(user), Some(user)).map_err(failed)?;
    }
    if !found.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name() != RESERVED && is_roots(&entry, path) {
            give(&entry.path(), user)?;
        }
    }
    Ok(())
}

/// Only `.config` can hold new files of root in a folder of the user's; the rest of a home may be large.
fn is_roots(entry: &fs::DirEntry, parent: &Path) -> bool {
    let in_config = parent.components().any(|part| part.as_os_str() == ".config");
    in_config || entry.file_name() == ".config" || entry.metadata().is_ok_and(|found| found.uid() == 0)
}
