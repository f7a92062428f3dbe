//! `provider`: what a create costs at a vendor in calls, and on Docker in time over the engine's own API; what a host by SSH
//! costs over the local socket; what a snapshot and a fork take there beside a plain copy.
//! Each number comes from an example program of the provider's crate, which prints one JSON object.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::metric::Metric;
use crate::{build, image, process, system, tools, ui};

/// The fewest calls that Fly documents for one app that is reached, with a volume and a machine that runs, each safe to
/// repeat: app, its addresses, one more of them, volume, a look at the volumes (their names are not unique), secrets, machine,
/// wait.
const FLY_FEWEST: f64 = 8.0;
/// A container behind a Worker is one request to it.
const CLOUDFLARE_FEWEST: f64 = 1.0;

/// Measures; `runs` creates on each side of Docker.
pub fn run(runs: u32, yes: bool) -> Result<Vec<Metric>> {
    system::ensure(system::DOCKER, yes)?;
    system::ensure_docker()?;
    system::ensure(&[("sshd", "openssh-server")], yes)?;
    let ensure = || {
        tools::ensure_cloudflare()?;
        tools::ensure_opencode()
    };
    let (opencode, programs) = process::both(ensure, build::measured)?;
    image::ensure(&programs, &opencode, yes)?;

    let fly = measured(&programs, "fly_calls", &[])?;
    let cloudflare = measured(&programs, "cloudflare_calls", &[programs.instance().into_os_string()])?;
    let docker = measured(&programs, "floor", &["--runs".into(), runs.to_string().into()])?;
    let far = measured(&programs, "far", &["--runs".into(), runs.to_string().into()])?;
    // Each copies 500 MB several times.
    let fork = measured(&programs, "fork", &["--runs".into(), runs.min(5).to_string().into()])?;
    let copied = |name: &str| -> Result<Metric> {
        Ok(Metric::less_is_better(name, number(&fork, name)?, "ms", "cp -a", number(&fork, "cp_ms")?))
    };
    let calls = |report: &Value, name: &str, fewest| -> Result<Metric> {
        Ok(Metric::less_is_better(name, number(report, name)?, "calls", "documented", fewest))
    };
    let alone =
        |name: &str, unit| -> Result<Metric> { Ok(Metric::alone(name, number(&docker, name)?, unit)) };
    Ok(vec![
        calls(&fly, "fly_create_calls", FLY_FEWEST)?,
        calls(&cloudflare, "cloudflare_create_calls", CLOUDFLARE_FEWEST)?,
        alone("docker_create_floor", "x of the raw API")?,
        Metric::alone(
            "docker_ssh_create_floor",
            number(&far, "docker_ssh_create_floor")?,
            "x of the local socket",
        ),
        Metric::alone("docker_80_at_once_failures", number(&far, "docker_80_at_once_failures")?, "creates"),
        alone("docker_suspend_ms", "ms")?,
        alone("docker_resume_ms", "ms")?,
        copied("snapshot_ms")?,
        copied("fork_ms")?,
    ])
}

/// Runs an example; the last line that it prints.
fn measured(programs: &build::Programs, example: &str, arguments: &[std::ffi::OsString]) -> Result<Value> {
    let step = ui::Step::begin(format!("measuring {example}"), None);
    let output = process::capture(Command::new(programs.example(example)).args(arguments))?;
    step.done("");
    let last = output.lines().last().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("{example} printed no result: {last:?}"))
}

fn number(report: &Value, name: &str) -> Result<f64> {
    report[name].as_f64().with_context(|| format!("{name} is missing in {report}"))
}
