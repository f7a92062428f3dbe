//! Why a copy of a home is not begun, in words: a path that is longer than a system call takes, and a disk without room.

use contracts::ErrorCode;
use provider_api::ProviderError;

/// A path that a system call takes has so many bytes.
pub const LONGEST_PATH: usize = 4095;
/// Of a path that is told.
const SHOWN: usize = 72;

/// A path below the home has so many bytes, and a copy can have `most`. `path` may be its beginning alone.
pub fn path_too_long(path: &str, bytes: usize, most: usize) -> ProviderError {
    let mut shown: String = path.chars().take(SHOWN).collect();
    if shown.len() < bytes {
        shown.push('…');
    }
    // Names are the users': one with a line break is no second line of the error.
    let shown = shown.escape_debug();
    let message = format!(
        "a path in the home is too long to be copied: it has {bytes} bytes, where {most} are possible: {shown}"
    );
    ProviderError::new(ErrorCode::ProviderFailed, message).with_action(
        "Remove what is that deep where nobody needs it (`pilot ws exec NAME -- rm -rf PATH`), or move a folder in the middle of the \
         path up; then try again.",
    )
}

/// A restore has the home of now and copies side by side for a while. Sizes in bytes.
pub fn no_room_to_restore(disk: &str, needed: u64, free: u64) -> ProviderError {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let message = format!(
        "{disk} has no room for a restore: until that is done it needs {} MiB, and {} MiB are free",
        mib(needed),
        mib(free)
    );
    ProviderError::new(ErrorCode::StoreFull, message).with_action(
        "Nothing was changed. Make room on that disk, or remove snapshots that nobody needs: `pilot ws snapshot rm NAME ID`.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_too_long_is_shown_by_its_beginning_on_one_line() {
        let error = path_too_long(&"node_modules/ä\n/".repeat(400), 6800, 4000);
        assert!(error.message.contains("6800 bytes, where 4000 are possible"), "{error}");
        assert!(error.message.contains(r"node_modules/ä\n/") && error.message.ends_with('…'), "{error}");
        assert!(error.message.len() < 300 && error.action.is_some(), "{error}");
    }

    #[test]
    fn a_disk_without_room_for_a_restore_says_what_is_needed_and_what_there_is() {
        let error = no_room_to_restore("the disk", (5 << 20) + 1, 3 << 20);
        assert_eq!(error.code, ErrorCode::StoreFull);
        assert!(error.message.contains("6 MiB") && error.message.contains("3 MiB"), "{error}");
    }
}
