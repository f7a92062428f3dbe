//! Reads the end of an instance's log.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use provider_api::Result;

use crate::files::unusable;

/// At most `max_bytes` from the end, beginning with a whole line. What the log of before the last
/// rotation holds is used when the current one is short.
pub(crate) fn tail(log: &Path, max_bytes: usize) -> Result<String> {
    // One byte more, which tells whether the cut is at the beginning of a line.
    let wanted = max_bytes.saturating_add(1);
    let mut bytes = end_of(log, wanted)?;
    let missing = wanted - bytes.len();
    if missing > 0 {
        let mut older = end_of(&log.with_extension("log.1"), missing)?;
        older.append(&mut bytes);
        bytes = older;
    }
    Ok(provider_api::lifecycle::last_lines(&bytes, max_bytes))
}

fn end_of(path: &Path, max_bytes: usize) -> Result<Vec<u8>> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let wanted = u64::try_from(max_bytes).unwrap_or(u64::MAX);
        file.seek(SeekFrom::Start(length.saturating_sub(wanted)))?;
        let mut bytes = Vec::new();
        file.take(wanted).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(|error| unusable("read", path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_spans_a_rotation_and_a_missing_log_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("instance.log");
        assert_eq!(tail(&log, 100).unwrap(), "");
        std::fs::write(&log, "new\n").unwrap();
        std::fs::write(folder.path().join("instance.log.1"), "older\nold\n").unwrap();
        assert_eq!(tail(&log, 100).unwrap(), "older\nold\nnew\n");
        assert_eq!(tail(&log, 10).unwrap(), "old\nnew\n");
        assert_eq!(tail(&log, 4).unwrap(), "new\n");
    }
}
