//! `pilot-engine`, the engine host: Pulumi's engine in one warm process. Built from `engine/host`, once for
//! each version of it. Without Go there is none, and Pilot runs stacks with the CLI, more slowly.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::pulumi::CLI_VERSION;
use super::{go, publish, stage};
use crate::{paths, ui};

/// In this repository.
pub const MODULE: &str = "engine/host";
const PROGRAM: &str = "pilot-engine";
/// Beside the program: what it was built from.
const SOURCES: &str = "sources";

/// The program, where it was built from the sources as they are.
pub fn find(cache: &Path) -> Option<PathBuf> {
    let built = fs::read_to_string(place(cache).join(SOURCES)).ok()?;
    let program = place(cache).join(PROGRAM);
    (program.is_file() && built == sources().ok()?).then_some(program)
}

/// The program, built when there is none of these sources; none without Go.
pub fn ensure(cache: &Path) -> Result<Option<PathBuf>> {
    if let Some(found) = find(cache) {
        return Ok(Some(found));
    }
    if paths::on_path("go").is_none() {
        ui::note("no Go here, so no engine host: every operation starts a Pulumi CLI, which is slower");
        return Ok(None);
    }
    let staged = stage(cache)?;
    let step = ui::Step::begin(
        format!("building the engine host {CLI_VERSION}"),
        Some("once for each version of it; about 4 min on 2 cores, 1 min after the Pulumi CLI"),
    );
    let version = format!("v{CLI_VERSION}");
    go::build(MODULE, ".", Some((go::PULUMI_VERSION, &version)), &staged.path().join(PROGRAM))?;
    fs::write(staged.path().join(SOURCES), sources()?).context("cannot note what was built")?;
    publish(staged, &place(cache))?;
    step.done("");
    Ok(Some(place(cache).join(PROGRAM)))
}

fn place(cache: &Path) -> PathBuf {
    cache.join(format!("{PROGRAM}-{CLI_VERSION}"))
}

/// Every source of the module, with its content: short enough to be compared as it is.
fn sources() -> Result<String> {
    let root = paths::root().join(MODULE);
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();
    let mut all = String::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        all.push_str(&format!("== {}\n{text}", file.strip_prefix(&root).unwrap_or(&file).display()));
    }
    Ok(all)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            collect(&path, files)?;
        } else if (name.ends_with(".go") && !name.ends_with("_test.go")) || name.starts_with("go.") {
            files.push(path);
        }
    }
    Ok(())
}
