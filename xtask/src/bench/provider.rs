//! `provider`: what a create costs at a vendor in calls, and on Docker in time over the engine's own API.
//! Each number comes from an example program of the provider's crate, which prints one JSON object.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::metric::Metric;
use crate::{build, image, paths, process, system, tools, ui};

/// The fewest calls that Fly documents for one app with a volume and a machine that runs, each safe to
/// repeat: app, volume, a look at the volumes (their names are not unique), secrets, machine, wait.
const FLY_FEWEST: f64 = 6.0;
/// A container behind a Worker is one request to it.
const CLOUDFLARE_FEWEST: f64 = 1.0;

/// Measures; `runs` creates on each side of Docker.
pub fn run(runs: u32, yes: bool) -> Result<Vec<Metric>> {
    system::ensure(system::BASIC, yes)?;
    system::ensure_docker()?;
    let opencode = tools::ensure_opencode()?;
    tools::ensure_for_tests()?;
    let programs = build::all(true)?;
    image::ensure(&programs, &opencode, yes)?;

    let fly = measured("provider-fly", "calls", &[])?;
    let cloudflare = measured("provider-cloudflare", "calls", &[programs.instance().into_os_string()])?;
    let docker = measured("provider-docker", "floor", &["--runs".into(), runs.to_string().into()])?;
    let calls = |report: &Value, name: &str, fewest| -> Result<Metric> {
        Ok(Metric::less_is_better(name, number(report, name)?, "calls", "documented", fewest))
    };
    let alone =
        |name: &str, unit| -> Result<Metric> { Ok(Metric::alone(name, number(&docker, name)?, unit)) };
    Ok(vec![
        calls(&fly, "fly_create_calls", FLY_FEWEST)?,
        calls(&cloudflare, "cloudflare_create_calls", CLOUDFLARE_FEWEST)?,
        alone("docker_create_floor", "x of the raw API")?,
        alone("docker_suspend_ms", "ms")?,
        alone("docker_resume_ms", "ms")?,
    ])
}

/// Builds an example and runs it; the last line that it prints.
fn measured(package: &str, example: &str, arguments: &[std::ffi::OsString]) -> Result<Value> {
    let step = ui::Step::begin(format!("measuring {package}"), None);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(paths::root()).args(["build", "--locked", "--release", "--package", package]);
    process::run(cargo.args(["--example", example]))?;
    let output = process::capture(Command::new(program(example)).args(arguments))?;
    step.done("");
    let last = output.lines().last().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("{package} printed no result: {last:?}"))
}

fn program(example: &str) -> PathBuf {
    paths::programs(true).join(Path::new("examples")).join(example)
}

fn number(report: &Value, name: &str) -> Result<f64> {
    report[name].as_f64().with_context(|| format!("{name} is missing in {report}"))
}
