//! One `cargo test` over the workspace: its output is passed on as it comes, and counted.

use std::process::Command;

use anyhow::Result;

use super::counts::{Counts, counted};
use crate::{paths, process};

/// Runs the chosen targets to the end, even after a failure.
pub fn test(targets: &[String], filter: Option<&str>, harness: &[&str]) -> Result<Counts> {
    let mut cargo = command(targets);
    cargo.arg("--no-fail-fast").args(filter);
    if !harness.is_empty() {
        cargo.arg("--").args(harness);
    }
    counted(&mut cargo, Counts::read)
}

/// How many tests the targets hold.
pub fn list(targets: &[String]) -> Result<u64> {
    let text = process::capture(command(targets).args(["--", "--list", "--format", "terse"]))?;
    Ok(text.lines().filter(|line| line.ends_with(": test")).count() as u64)
}

fn command(targets: &[String]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(paths::root()).args(["test", "--locked", "--workspace"]).args(targets);
    cargo
}
