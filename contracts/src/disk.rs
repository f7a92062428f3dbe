//! The disk that a home lies on, as the instance itself sees it: its own volume where that has a limit, else what it shares.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const MIB: u64 = 1 << 20;
/// Programs begin to fail.
const FULL: u64 = MIB;
/// What a build or a clone needs.
const LITTLE: u64 = 1024 * MIB;

/// The disk of a home, as the instance's user has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    /// In bytes.
    pub size: u64,
    /// In bytes; 0 also where no more files can be made.
    pub free: u64,
}

/// The answer to `GET /v1/workspaces/{workspace}/disk`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HomeDisk {
    /// Absent where nothing runs that could tell, and where the instance is of an image that does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
}

/// What is free of a disk, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    Fine,
    NearlyFull,
    Full,
}

impl Disk {
    /// A tenth of a large disk is room enough, and all of a small one may be little.
    pub fn fill(self) -> Fill {
        match self.free {
            free if free < FULL => Fill::Full,
            free if free < LITTLE && free < self.size / 10 => Fill::NearlyFull,
            _ => Fill::Fine,
        }
    }

    /// For people: what is free of it, and a word where that is little.
    pub fn in_words(self) -> String {
        let free = format!("{} of {} free on its disk", amount(self.free), amount(self.size));
        match self.fill() {
            Fill::Fine => free,
            Fill::NearlyFull => format!("nearly full: {free}"),
            Fill::Full => format!("full: {free}"),
        }
    }
}

/// Rounded down: what is nearly nothing is not told as more.
fn amount(bytes: u64) -> String {
    match bytes / MIB {
        mib @ ..1024 => format!("{mib} MiB"),
        mib => format!("{}.{} GiB", mib / 1024, mib % 1024 * 10 / 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_full_or_nearly_so_by_what_is_free_and_not_by_what_is_used() {
        let gib = 1024 * MIB;
        for (size, free, fill, words) in [
            (252 * gib, 26 * gib, Fill::Fine, "26.0 GiB of 252.0 GiB free on its disk"),
            (252 * gib, 1100 * MIB, Fill::Fine, "1.0 GiB of 252.0 GiB free on its disk"),
            (252 * gib, 205 * MIB, Fill::NearlyFull, "nearly full: 205 MiB of 252.0 GiB free on its disk"),
            (64 * MIB, 8 * MIB, Fill::Fine, "8 MiB of 64 MiB free on its disk"),
            (64 * MIB, 5 * MIB, Fill::NearlyFull, "nearly full: 5 MiB of 64 MiB free on its disk"),
            (64 * MIB, 4096, Fill::Full, "full: 0 MiB of 64 MiB free on its disk"),
        ] {
            let disk = Disk { size, free };
            assert_eq!((disk.fill(), disk.in_words().as_str()), (fill, words));
        }
    }
}
