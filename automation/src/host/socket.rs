//! A private folder for the socket of one process.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The kernel takes no longer paths of sockets.
const LONGEST: usize = 107;

/// Only this user can look into it (mode 0700). In the system's temporary folder, or in `/tmp` where the
/// path of a socket in it would be too long.
pub(super) fn folder() -> std::io::Result<tempfile::TempDir> {
    in_or_tmp(&std::env::temp_dir())
}

fn in_or_tmp(parent: &Path) -> std::io::Result<tempfile::TempDir> {
    // The folder's own name, a socket of one letter, and the slashes between.
    let length = parent.as_os_str().as_bytes().len() + "/pilot-XXXXXX/s".len();
    let parent = if length > LONGEST { Path::new("/tmp") } else { parent };
    let private = std::fs::Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix("pilot-").permissions(private).tempdir_in(parent)
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
            let folder = in_or_tmp(parent).unwrap();
            assert_eq!(folder.path().starts_with(parent), is_in_it);
            let mode = std::fs::metadata(folder.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
            std::os::unix::net::UnixListener::bind(folder.path().join("s")).unwrap();
        }
    }
}
