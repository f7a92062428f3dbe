//! How large the files below a folder are, whether one of them has a path that cannot be copied, and what the disk has left.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::files;

/// What is below a folder.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// In bytes, as a disk has it, and a copy of it: a file of two names counts once, and what vanishes meanwhile does not.
    pub size: u64,
    /// The first path below the folder that is longer than it may be.
    pub too_long: Option<PathBuf>,
}

/// Measures what is there; it looks no deeper where a path below the folder has more than so many bytes.
pub(crate) fn measure(folder: &Path, most: usize) -> Measured {
    let mut measured = Measured::default();
    let longest = most.saturating_add(folder.as_os_str().len() + 1);
    add(folder, (folder, longest), &mut HashSet::new(), &mut measured);
    measured
}

fn add(
    path: &Path,
    (folder, longest): (&Path, usize),
    seen: &mut HashSet<(u64, u64)>,
    measured: &mut Measured,
) {
    if path.as_os_str().len() > longest {
        let below = path.strip_prefix(folder).unwrap_or(path);
        measured.too_long.get_or_insert_with(|| below.to_owned());
        return;
    }
    let Ok(found) = fs::symlink_metadata(path) else { return };
    if found.is_dir() {
        measured.size += 4096;
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            add(&entry.path(), (folder, longest), seen, measured);
        }
    } else if found.nlink() < 2 || seen.insert((found.dev(), found.ino())) {
        measured.size += found.blocks() * 512;
    }
}

/// So many bytes are free where this is.
pub(crate) fn free(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map(|disk| disk.f_bavail * disk.f_frsize).unwrap_or(u64::MAX)
}

/// Whether a copy of a file in this folder takes no room. Tried with two files of one byte.
pub(crate) fn shares_blocks(folder: &Path) -> bool {
    let [from, to] = [".probe-from", ".probe-to"].map(|name| folder.join(name));
    let shares = fs::write(&from, [0])
        .and_then(|()| Ok((File::open(&from)?, File::create(&to)?)))
        .is_ok_and(|(from, to)| rustix::fs::ioctl_ficlone(&to, &from).is_ok());
    for probe in [from, to] {
        // One that stays is of no harm.
        let _ = files::remove_file(&probe);
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_several_names_counts_once_as_in_its_copy() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, vec![1; 1 << 20]).unwrap();
        let alone = measure(folder.path(), usize::MAX).size;
        assert!(alone >= 1 << 20);
        for name in ["second", "third"] {
            fs::hard_link(&file, folder.path().join(name)).unwrap();
        }
        assert_eq!(measure(folder.path(), usize::MAX).size, alone);
    }

    #[test]
    fn the_first_path_that_is_too_long_is_found_and_one_that_fits_is_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("deep/er")).unwrap();
        assert_eq!(measure(folder.path(), 7).too_long, None);
        assert_eq!(measure(folder.path(), 6).too_long, Some("deep/er".into()));
    }
}
