//! What an instance's image and whoever makes instances agree on: the account inside, its home, and which files a boot may bring there.

use std::path::{Component, Path};

/// The home of the instance's user in Pilot's image.
pub const HOME: &str = "/home/pilot";
/// The id of that user, and of its group.
pub const USER: u32 = 1000;

/// Names a folder outside the home from which an instance takes the boot files that are there, for providers that cannot write into
/// a home.
pub const FOLDER: &str = "PILOT_BOOT_FOLDER";

/// Whether a boot file of this path stays below the home it is written into.
pub fn is_below_home(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_stay_below_the_home() {
        for path in ["a", ".config/pilot/key", ".config//pilot/key"] {
            assert!(is_below_home(path), "{path}");
        }
        for path in ["", "/", "/etc/passwd", "..", "../x", "./x", ".config/../../x", ".config/.."] {
            assert!(!is_below_home(path), "{path}");
        }
    }
}
