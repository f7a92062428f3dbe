//! `cargo deny`, which checks licences, sources and duplicates of dependencies. Built by cargo into the cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{publish, stage};
use crate::{paths, process, ui};

const VERSION: &str = "0.20.2";

/// The program, where it was built.
pub fn find(cache: &Path) -> Option<PathBuf> {
    Some(place(cache).join("bin/cargo-deny")).filter(|file| file.is_file())
}

/// The program, built when there is none. Not optimised: it takes longer to build than it ever runs.
pub fn ensure(cache: &Path) -> Result<PathBuf> {
    if let Some(found) = find(cache) {
        return Ok(found);
    }
    let step = ui::Step::begin(
        format!("building cargo-deny {VERSION}"),
        Some("once for this machine; about a minute on 2 cores"),
    );
    let staged = stage(cache)?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["install", "cargo-deny", "--locked", "--debug", "--no-default-features", "--version", VERSION])
        .arg("--root")
        .arg(staged.path())
        // Not into this repository: what it was built of is removed.
        .arg("--target-dir")
        .arg(staged.path().join("target"));
    process::logged(&mut cargo, &paths::target().join("xtask/cargo-deny.log"))?;
    std::fs::remove_dir_all(staged.path().join("target"))
        .context("cannot remove what cargo-deny was built of")?;
    publish(staged, &place(cache))?;
    step.done("");
    Ok(place(cache).join("bin/cargo-deny"))
}

fn place(cache: &Path) -> PathBuf {
    cache.join(format!("cargo-deny-{VERSION}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_program_of_this_version_is_found() {
        let cache = tempfile::tempdir().unwrap();
        assert_eq!(find(cache.path()), None);
        let program = place(cache.path()).join("bin/cargo-deny");
        std::fs::create_dir_all(program.parent().unwrap()).unwrap();
        std::fs::write(&program, "").unwrap();
        assert_eq!(find(cache.path()), Some(program));
    }
}
