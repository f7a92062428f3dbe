//! Where things are: the repository, its build output, the tools cache and the data folder. The last two
//! follow the same rules as the `pilot` program, so that both always mean the same folder.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

/// The repository.
pub fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map_or_else(|| manifest.clone(), Path::to_path_buf)
}

/// Cargo's build output.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The folder of a profile's programs.
pub fn programs(release: bool) -> PathBuf {
    target().join(if release { "release" } else { "debug" })
}

/// The tools cache: `$PILOT_TOOLS`, else the user's cache folder.
pub fn tools() -> Result<PathBuf> {
    if let Some(folder) = non_empty("PILOT_TOOLS") {
        return Ok(folder);
    }
    user_folder("XDG_CACHE_HOME", ".cache").map(|cache| cache.join("pilot/tools"))
}

/// The data folder: the given one, else `$PILOT_DATA`, else the user's data folder.
pub fn data(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(folder) = given.map(Path::to_path_buf).or_else(|| non_empty("PILOT_DATA")) {
        return std::path::absolute(&folder).map_err(|error| anyhow!("{}: {error}", folder.display()));
    }
    user_folder("XDG_DATA_HOME", ".local/share").map(|share| share.join("pilot"))
}

/// The first program of this name on PATH.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn user_folder(variable: &str, below_home: &str) -> Result<PathBuf> {
    if let Some(folder) = non_empty(variable) {
        return Ok(folder);
    }
    let home = non_empty("HOME").ok_or_else(|| {
        anyhow!("neither {variable} nor HOME is set, so there is no place for Pilot's files; set one of them")
    })?;
    Ok(home.join(below_home))
}

fn non_empty(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
