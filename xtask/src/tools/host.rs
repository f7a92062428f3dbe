//! `pilot-engine`, the engine host: Pulumi's engine in one warm process. Built from `engine/host`, once for
//! each version of it. Without Go there is none, and Pilot runs stacks with the CLI, more slowly.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{go, publish, stage};
use crate::{paths, ui, versions};

/// In this repository.
pub const MODULE: &str = "engine/host";
const PROGRAM: &str = "pilot-engine";
/// Beside the program: what it was built from.
const SOURCES: &str = "sources";

/// The program, where it was built from the sources as they are.
pub fn find(cache: &Path) -> Option<PathBuf> {
    let built = fs::read_to_string(place(cache).join(SOURCES)).ok()?;
    let program = place(cache).join(PROGRAM);
    (program.is_file() && built == go::sources(MODULE, &[]).ok()?).then_some(program)
}

/// The program, built when there is none of these sources; none without Go.
pub fn ensure(cache: &Path) -> Result<Option<PathBuf>> {
    if let Some(found) = find(cache) {
        return Ok(Some(found));
    }
    if paths::on_path("go").is_none() {
        ui::note("no Go here, so no engine host: every operation starts the Pulumi CLI, which is slower");
        return Ok(None);
    }
    let staged = stage(cache)?;
    let step = ui::Step::begin(
        format!("building the engine host {}", versions::NEWEST),
        Some("once for each version of it; about 4 min on 2 cores"),
    );
    let version = format!("v{}", versions::NEWEST);
    go::build(MODULE, ".", Some((go::PULUMI_VERSION, &version)), &staged.path().join(PROGRAM))?;
    fs::write(staged.path().join(SOURCES), go::sources(MODULE, &[])?)
        .context("cannot note what was built")?;
    publish(staged, &place(cache))?;
    step.done("");
    Ok(Some(place(cache).join(PROGRAM)))
}

fn place(cache: &Path) -> PathBuf {
    cache.join(format!("{PROGRAM}-{}", versions::NEWEST))
}
