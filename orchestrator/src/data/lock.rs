//! Who serves a data folder: one process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use contracts::{ErrorCode, Problem};

use super::unusable;

/// How long the lock may be in the hands of who does not want it.
const STARTING: Duration = Duration::from_millis(500);

/// Held by who serves the folder. The file says who that is; the folder itself is locked as well, since a file can be removed and
/// another one made.
pub(crate) struct Locked {
    _file: File,
    _folder: File,
}

pub(crate) fn lock(root: &Path) -> Result<Locked, Problem> {
    let path = root.join("lock");
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).read(true).write(true).mode(0o600).open(&path);
    let mut file = file.map_err(|error| unusable(root, &error))?;
    let folder = File::open(root).map_err(|error| unusable(root, &error))?;
    // Some file systems lock no folders.
    let folder_locked = taken(&folder).or_else(|error| match error {
        TryLockError::Error(_) => Ok(()),
        busy => Err(busy),
    });
    match taken(&file).and(folder_locked) {
        Ok(()) => {
            let _ = file.set_len(0);
            let _ = writeln!(file, "{}", std::process::id());
            Ok(Locked { _file: file, _folder: folder })
        }
        Err(TryLockError::WouldBlock) => {
            let owner = std::fs::read_to_string(&path).unwrap_or_default();
            let by = match owner.trim() {
                "" => "another process".to_owned(),
                owner => format!("process {owner}"),
            };
            let detail = format!("The data folder {} is in use by {by}.", root.display());
            Err(Problem::new(ErrorCode::AlreadyRunning, detail)
                .with_action("Use that server, stop it, or start this one with another --data folder."))
        }
        Err(TryLockError::Error(error)) => Err(unusable(root, &error)),
    }
}

/// A process that this one is just starting has the lock as well, until it is another program.
fn taken(file: &File) -> Result<(), TryLockError> {
    let began = Instant::now();
    let mut locked = file.try_lock();
    while matches!(locked, Err(TryLockError::WouldBlock)) && began.elapsed() < STARTING {
        std::thread::sleep(Duration::from_millis(20));
        locked = file.try_lock();
    }
    locked
}
