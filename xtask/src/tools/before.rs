//! Pilot as it was before: what the test of an upgrade in place begins with. Built once for a machine from the
//! repository's own history, into the same cache as all tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{publish, stage};
use crate::{paths, process, ui};

/// The last commit whose installations have no runtimes apart from workspaces, and no images of their own.
const COMMIT: &str = "89fa0819bf9f7d68ad82f5e0ad06d50ee0508955";
const PACKAGES: [&str; 3] = ["cli", "instance-image", "orchestrator"];
const PROGRAMS: [&str; 3] = ["pilot", "pilot-instance", "pulumi-resource-pilot"];

/// The folder with its programs; `None` where the repository has no history that goes back so far.
pub fn ensure(cache: &Path) -> Result<Option<PathBuf>> {
    let place = cache.join(format!("pilot-{}", &COMMIT[..12]));
    if PROGRAMS.iter().all(|program| place.join(program).is_file()) {
        return Ok(Some(place));
    }
    if !process::succeeds(git().args(["cat-file", "-e", &format!("{COMMIT}^{{commit}}")])) {
        return Ok(None);
    }
    let step = ui::Step::begin(
        "building the Pilot of before, to upgrade from",
        Some("once for this machine; about 6 min on 2 cores"),
    );
    let (sources, staged) = (stage(cache)?, stage(cache)?);
    let archive = sources.path().join("sources.tar");
    let named = format!("--output={}", archive.display());
    process::run(git().args(["archive", "--format=tar", &named, COMMIT]))?;
    process::run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(sources.path()))?;
    let built = sources.path().join("target");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(sources.path()).args(["build", "--locked"]);
    cargo.args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    cargo.args(PROGRAMS.iter().flat_map(|program| ["--bin", program]));
    cargo.env("CARGO_TARGET_DIR", &built).env_remove("CARGO_MANIFEST_DIR");
    process::logged(&mut cargo, &paths::target().join("xtask/before.log"))?;
    for program in PROGRAMS {
        let (from, to) = (built.join("debug").join(program), staged.path().join(program));
        fs::copy(&from, &to).with_context(|| from.display().to_string())?;
    }
    publish(staged, &place)?;
    step.done("");
    Ok(Some(place))
}

fn git() -> Command {
    let mut git = Command::new("git");
    git.current_dir(paths::root());
    git
}
