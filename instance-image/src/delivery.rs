//! Boot files that arrive beside the home, where a provider cannot write into it before the instance starts: in a folder, or in an
//! environment variable.
//!
//! The variable holds a JSON object: paths below the home to contents in base64. The contents may be
//! secrets, so they are written for this user alone, and then this process begins anew without the
//! variable: nothing that is started from here inherits it, and `/proc` does not show it.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::ErrorCode;
use contracts::boot::{FOLDER, is_below_home};

/// Named by the provider's Worker as well.
pub const VARIABLE: &str = "PILOT_BOOT_FILES";

/// Why the instance cannot begin. No variant shows a content.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("{VARIABLE} is not a JSON object of paths and base64 texts")]
    Unreadable,
    #[error("the boot file path {0:?} leaves the home")]
    Outside(String),
    #[error("the boot file {path} cannot be written: {source}")]
    Unwritable { path: String, source: io::Error },
    #[error("the boot file {path} cannot be taken: {source}")]
    Untaken { path: String, source: io::Error },
    #[error("the instance cannot begin anew without {VARIABLE}: {0}")]
    Restart(io::Error),
}

impl DeliveryError {
    pub fn code(&self) -> ErrorCode {
        ErrorCode::InstanceFailed
    }
}

/// Unpacks what was delivered into `home`; then this does not return, because the process begins anew.
/// Without a delivery it does nothing.
pub fn receive(home: &Path) -> Result<(), DeliveryError> {
    let Some(delivered) = std::env::var_os(VARIABLE) else { return Ok(()) };
    let text = delivered.to_str().ok_or(DeliveryError::Unreadable)?;
    unpack(text, home)?;
    let program = std::env::current_exe().map_err(DeliveryError::Restart)?;
    // Only returns when it fails.
    let failed = Command::new(program).args(std::env::args_os().skip(1)).env_remove(VARIABLE).exec();
    Err(DeliveryError::Restart(failed))
}

/// Takes what is in the folder that [`FOLDER`] names into `home`. There is nothing where nothing was delivered. It is for the user
/// of the home to do: root would follow the links that are in it.
pub fn collect(home: &Path) -> Result<(), DeliveryError> {
    match std::env::var_os(FOLDER) {
        Some(folder) => take(Path::new(&folder), Path::new(""), home),
        None => Ok(()),
    }
}

fn take(folder: &Path, below: &Path, home: &Path) -> Result<(), DeliveryError> {
    let failed = |path: &Path, source| DeliveryError::Untaken { path: path.display().to_string(), source };
    let entries = match std::fs::read_dir(folder.join(below)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|source| failed(below, source))?,
    };
    for entry in entries {
        let entry = entry.map_err(|source| failed(below, source))?;
        let path = below.join(entry.file_name());
        if entry.file_type().map_err(|source| failed(&path, source))?.is_dir() {
            take(folder, &path, home)?;
            continue;
        }
        let content = std::fs::read(entry.path()).map_err(|source| failed(&path, source))?;
        let unwritable = |source| DeliveryError::Unwritable { path: path.display().to_string(), source };
        write(&home.join(&path), &content).map_err(unwritable)?;
        if let Err(error) = std::fs::remove_file(entry.path()) {
            tracing::warn!(path = %path.display(), %error, "a boot file stays also where it was delivered");
        }
    }
    Ok(())
}

fn unpack(text: &str, home: &Path) -> Result<(), DeliveryError> {
    let files: std::collections::BTreeMap<String, String> =
        serde_json::from_str(text).map_err(|_| DeliveryError::Unreadable)?;
    for (path, content) in files {
        let content = STANDARD.decode(content).map_err(|_| DeliveryError::Unreadable)?;
        if !is_below_home(&path) {
            return Err(DeliveryError::Outside(path));
        }
        write(&home.join(&path), &content).map_err(|source| DeliveryError::Unwritable { path, source })?;
    }
    Ok(())
}

/// Beside its place first: a reader never sees half of it.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    // One that a killed boot left would keep its mode.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(content)?;
    std::fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn files_are_written_for_this_user_alone_and_replace_older_ones() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".config/pilot/key");
        for text in ["first", "second"] {
            let delivered = format!(r#"{{".config/pilot/key":"{}"}}"#, STANDARD.encode(text));
            unpack(&delivered, home.path()).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        assert_eq!(file.parent().unwrap().read_dir().unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn what_lies_in_a_folder_beside_the_home_is_moved_there_and_nothing_delivered_is_no_failure() {
        let (home, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (taken, lies) = (home.path().join(".config/pilot/key"), folder.path().join(".config/pilot/key"));
        for text in ["first", "second"] {
            std::fs::create_dir_all(lies.parent().unwrap()).unwrap();
            std::fs::write(&lies, text).unwrap();
            std::fs::set_permissions(&lies, std::fs::Permissions::from_mode(0o400)).unwrap();
            take(folder.path(), Path::new(""), home.path()).unwrap();
            assert_eq!(std::fs::read_to_string(&taken).unwrap(), text);
            assert!(!lies.exists(), "it is in one place");
        }
        assert_eq!(taken.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        take(&folder.path().join("nowhere"), Path::new(""), home.path()).unwrap();
        std::fs::create_dir(home.path().join("taken")).unwrap();
        std::fs::write(folder.path().join("taken"), "canary").unwrap();
        let error = take(folder.path(), Path::new(""), home.path()).unwrap_err();
        assert!(error.to_string().contains("taken") && !error.to_string().contains("canary"), "{error}");
    }

    #[test]
    fn what_leaves_the_home_or_cannot_be_read_is_refused_and_never_shown() {
        let home = tempfile::tempdir().unwrap();
        for path in ["", "/etc/x", "../x", ".config/../../x"] {
            let error = unpack(&format!(r#"{{"{path}":""}}"#), home.path()).unwrap_err();
            assert!(matches!(error, DeliveryError::Outside(_)), "{path}: {error}");
        }
        for text in ["canary", r#"{"a":"canary!"}"#, r#"{"a":1}"#] {
            let error = unpack(text, home.path()).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}
