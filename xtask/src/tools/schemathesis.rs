//! What asks an API all that its OpenAPI document allows. Its lock file says which packages pip fetches, each checked by hash.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::languages::PYTHON;
use super::{need, publish, stage};
use crate::{paths, process, ui};

const FOLDER: &str = "xtask/schemathesis";
const LOCK: &str = "requirements.txt";
/// Beside the packages: what they were made from.
const SOURCES: &str = "sources";

/// The folder with its packages; made when there is none of this lock file.
pub fn ensure(cache: &Path) -> Result<PathBuf> {
    need(&[PYTHON])?;
    let lock = paths::root().join(FOLDER).join(LOCK);
    let python = process::capture(Command::new("python3").arg("--version"))?;
    let sources = python + &fs::read_to_string(&lock).with_context(|| lock.display().to_string())?;
    let place = cache.join("schemathesis");
    if fs::read_to_string(place.join(SOURCES)).is_ok_and(|made_from| made_from == sources) {
        return Ok(place);
    }
    let step = ui::Step::begin("fetching Schemathesis", Some("once for each version of it"));
    let staged = stage(cache)?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--require-hashes",
        "--no-deps",
        "--target",
    ])
    .arg(staged.path())
    .arg("--requirement")
    .arg(&lock);
    process::logged(&mut pip, &paths::target().join("xtask/pip-schemathesis.log"))?;
    fs::write(staged.path().join(SOURCES), sources).context("cannot note what was made")?;
    publish(staged, &place)?;
    step.done("");
    Ok(place)
}
