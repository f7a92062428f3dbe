//! File operations that survive a crash at any moment, and their errors in words for a person.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use contracts::ErrorCode;
use provider_api::{ProviderError, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An I/O error on one of our own files.
pub(crate) fn unusable(doing: &str, path: &Path, error: &io::Error) -> ProviderError {
    let message = format!("cannot {doing} {}: {error}", path.display());
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            ProviderError::new(ErrorCode::StoreFull, message)
                .with_action("Free space on the disk of the data folder and try again.")
        }
        _ => ProviderError::new(ErrorCode::DataFolderUnusable, message).with_action(
            "Check that the data folder belongs to the account that runs Pilot and is writable.",
        ),
    }
}

/// The name under which `write_atomic` writes before it renames.
pub(crate) fn temporary_name(name: &str) -> String {
    format!(".{name}.new")
}

/// Replaces the file as a whole or not at all; on the disk when this returns. Readable by its owner only.
pub(crate) fn write_atomic(path: &Path, content: &[u8]) -> Result<()> {
    let write = || -> io::Result<()> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(ErrorKind::InvalidInput)?;
        let temporary = path.with_file_name(temporary_name(name));
        // A leftover could have another mode or be a link; `create_new` never follows one.
        remove_file_if_there(&temporary)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder_of(path)
    };
    write().map_err(|error| unusable("write", path, &error))
}

pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| {
        ProviderError::new(ErrorCode::Internal, format!("cannot serialise {path:?}: {error}"))
    })?;
    write_atomic(path, &text)
}

/// `None` when there is no such file. A file that cannot be understood is an error: it is never
/// overwritten or ignored.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unusable("read", path, &error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        let message = format!("{} is damaged: {error}", path.display());
        ProviderError::new(ErrorCode::DataFolderUnusable, message).with_action(
            "Restore the file from a backup, or move the workspace's folder away and delete the workspace.",
        )
    })
}

/// Makes a private folder and its parents.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| unusable("make", path, &error))
}

pub(crate) fn remove_file(path: &Path) -> Result<()> {
    remove_file_if_there(path).map_err(|error| unusable("remove", path, &error))
}

fn remove_file_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(crate) fn remove_folder_if_empty(path: &Path) -> Result<()> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(unusable("remove", path, &error)),
        _ => Ok(()),
    }
}

/// Gives a folder another name beside its own, at once however much it holds. One that is aside already stays.
pub(crate) fn put_aside(path: &Path) -> Result<PathBuf> {
    const ASIDE: &str = ".gone-";
    let is_aside = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(ASIDE.as_bytes()));
    if is_aside {
        return Ok(path.to_owned());
    }
    let free = (0u32..).map(|number| path.with_file_name(format!("{ASIDE}{number}"))).find(|to| !to.exists());
    let aside =
        free.ok_or(ErrorKind::AlreadyExists).map_err(|kind| unusable("rename", path, &kind.into()))?;
    fs::rename(path, &aside).map_err(|error| unusable("rename", path, &error))?;
    Ok(aside)
}

/// Removes a folder with all it holds. Tools leave folders without write permission behind (module
/// caches do), so a refusal is answered by opening them and trying once more.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    let remove = || match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    };
    match remove() {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            make_writable(path);
            remove()
        }
        other => other,
    }
    .map_err(|error| unusable("remove", path, &error))
}

fn make_writable(folder: &Path) {
    // Errors surface in the removal that follows.
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_is_private_and_replaces_the_old_one_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_json(&path, &[1, 2, 3]).unwrap();
        write_json(&path, &[4]).unwrap();
        assert_eq!(read_json::<Vec<u8>>(&path).unwrap(), Some(vec![4]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_an_error_and_a_missing_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        assert_eq!(read_json::<u8>(&path).unwrap(), None);
        fs::write(&path, "{").unwrap();
        assert_eq!(read_json::<u8>(&path).unwrap_err().code, ErrorCode::DataFolderUnusable);
    }

    #[test]
    fn a_full_disk_has_a_code_of_its_own() {
        let full = unusable("write", Path::new("/data/x"), &ErrorKind::StorageFull.into());
        assert_eq!(full.code, ErrorCode::StoreFull);
        let denied = unusable("write", Path::new("/data/x"), &ErrorKind::PermissionDenied.into());
        assert_eq!(denied.code, ErrorCode::DataFolderUnusable);
        assert!(full.message.contains("/data/x") && full.action.is_some());
    }

    #[test]
    fn a_tree_with_read_only_folders_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("cache/module");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("file"), "x").unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o500)).unwrap();
        remove_tree(&folder.path().join("cache")).unwrap();
        assert!(!folder.path().join("cache").exists());
        remove_tree(&folder.path().join("cache")).unwrap();
    }
}
