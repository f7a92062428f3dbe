//! npm packages that tests use: what a lock of this repository names (checked by hash, no install
//! scripts), as a folder with `node_modules`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{need, publish, stage};
use crate::{paths, process, ui};

pub const NEEDED: [(&str, &str); 2] = [
    ("node", "install Node.js 20.3 or newer, which brings npm (https://nodejs.org/en/download)"),
    ("npm", "install Node.js 20.3 or newer, which brings npm (https://nodejs.org/en/download)"),
];

const LOCK: &str = "package-lock.json";
const LOCKED: [&str; 3] = ["package.json", LOCK, ".npmrc"];

/// One lock and where its packages go.
pub struct Set {
    /// In the cache.
    pub name: &'static str,
    /// Of the lock, in this repository.
    folder: &'static str,
    /// For people, who wait for it.
    size: &'static str,
}

/// Cloudflare's runtime and its client, for the simulator and its tests.
pub const CLOUDFLARE: Set =
    Set { name: "cloudflare-1.20251011.0", folder: "tests/sim-cloudflare/npm", size: "about 190 MB, once" };

/// What checks the types of the Cloudflare Worker.
pub const WORKER_TYPES: Set =
    Set { name: "cloudflare-worker-types-5.9.3", folder: "providers/cloudflare/worker", size: "30 MB, once" };

impl Set {
    /// The folder, where it was made from the lock as it is.
    pub fn find(&self, cache: &Path) -> Option<PathBuf> {
        let place = cache.join(self.name);
        let made_from = std::fs::read_to_string(place.join(LOCK)).ok()?;
        let lock = std::fs::read_to_string(paths::root().join(self.folder).join(LOCK)).ok()?;
        (made_from == lock).then_some(place)
    }

    /// The folder, fetched when there is none.
    pub fn ensure(&self, cache: &Path) -> Result<PathBuf> {
        if let Some(found) = self.find(cache) {
            return Ok(found);
        }
        need(&NEEDED)?;
        let step = ui::Step::begin(format!("fetching {}", self.name), Some(self.size));
        let staged = stage(cache)?;
        for name in LOCKED {
            let from = paths::root().join(self.folder).join(name);
            std::fs::copy(&from, staged.path().join(name)).with_context(|| from.display().to_string())?;
        }
        let mut npm = Command::new("npm");
        npm.current_dir(staged.path()).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        process::logged(&mut npm, &paths::target().join(format!("xtask/npm-{}.log", self.name)))?;
        let place = cache.join(self.name);
        publish(staged, &place)?;
        step.done("");
        Ok(place)
    }
}
