//! One `cargo test` over the workspace: its output is passed on as it comes, and counted.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::counts::{Counts, counted};
use crate::{paths, process};

/// Runs the chosen targets to the end, even after a failure.
pub fn test(
    targets: &[String],
    filter: Option<&str>,
    harness: &[&str],
    env: &[(&str, PathBuf)],
) -> Result<Counts> {
    let mut cargo = command(targets);
    cargo.envs(env.iter().map(|(name, value)| (name, value)));
    cargo.arg("--no-fail-fast").args(filter);
    if !harness.is_empty() {
        cargo.arg("--").args(harness);
    }
    counted(&mut cargo, Counts::read)
}

/// How many tests the targets hold, of those whose names have the text.
pub fn list(targets: &[String], filter: Option<&str>) -> Result<u64> {
    let mut cargo = command(targets);
    let text = process::capture(cargo.args(filter).args(["--", "--list", "--format", "terse"]))?;
    Ok(text.lines().filter(|line| line.ends_with(": test")).count() as u64)
}

fn command(targets: &[String]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(paths::root()).args(["test", "--locked", "--workspace"]).args(targets);
    cargo
}
