//! One `cargo test` over the workspace: its output is passed on as it comes, and counted.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::counts::Counts;
use crate::{paths, process, ui};

/// Runs the chosen targets to the end, even after a failure.
pub fn test(targets: &[String], filter: Option<&str>, harness: &[&str]) -> Result<Counts> {
    let mut cargo = command(targets);
    cargo.arg("--no-fail-fast").args(filter);
    if !harness.is_empty() {
        cargo.arg("--").args(harness);
    }
    ui::note(format!("$ {}", process::shown(&cargo)));
    let mut child = cargo.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let Some(output) = child.stdout.take() else { bail!("cargo has no output") };
    let mut counts = Counts::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        counts.read(&line);
        ui::say(&line);
    }
    let status = child.wait()?;
    // A test binary that dies, or code that does not compile, leaves no count of its own.
    if !status.success() && counts.failed == 0 {
        counts.failed = 1;
        counts.failures.push(format!("cargo test ended with {status}, see above"));
    }
    Ok(counts)
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
