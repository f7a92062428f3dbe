//! Where the programs are that `cargo xtask tools` puts in place.

// Tests of other crates use a part of it.
#![allow(dead_code)]

use std::path::PathBuf;

use pulumi_auto::versions::NEWEST;

/// The cache's pulumi; where there is none, the one on PATH, which `cargo xtask tools` has then accepted.
pub fn pulumi() -> PathBuf {
    let cached = tools().join(format!("pulumi-{NEWEST}/pulumi"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path =
        || std::env::split_paths(&path).map(|folder| folder.join("pulumi")).find(|file| file.is_file());
    if cached.is_file() { cached } else { on_path().unwrap_or(cached) }
}

/// The cache's engine host, or the one that `PILOT_ENGINE` names, for whoever works on it.
pub fn pilot_engine() -> PathBuf {
    let named = std::env::var_os("PILOT_ENGINE").map(PathBuf::from);
    named.unwrap_or_else(|| tools().join(format!("pilot-engine-{NEWEST}/pilot-engine")))
}

/// The language hosts of tests, with the SDK runtimes they need.
pub fn languages() -> PathBuf {
    tools().join(format!("languages-{NEWEST}"))
}

fn tools() -> PathBuf {
    std::env::var_os("PILOT_TOOLS").map(PathBuf::from).unwrap_or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
        cache.unwrap_or_else(home).join("pilot/tools")
    })
}
