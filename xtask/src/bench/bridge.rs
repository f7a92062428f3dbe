//! `bridge`: the Automation API in Rust beside the official one in Go, on the same CLI, with the same
//! stack and a provider that does nothing, in turns, so that whatever else the machine does hits both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::metric::{Metric, median};
use crate::{paths, process, system, tools, ui};

const RESOURCES: &str = "3";
const AT_ONCE: usize = 50;
const PEER: &str = "go-auto";
/// Of the Go module in `engine/peer`; a new version is built beside the old.
const PEER_VERSION: &str = "3.255.0";

/// Measures; `runs` of each side, then many stacks at once on ours.
pub fn run(runs: u32, yes: bool) -> Result<Vec<Metric>> {
    system::ensure(system::BASIC, yes)?;
    let tools = tools::ensure()?;
    let ours = build_ours()?;
    let peer = build_peer()?;

    let (mut mine, mut theirs) = (BTreeMap::new(), BTreeMap::new());
    for run in 1..=runs {
        let step = ui::Step::begin(format!("run {run} of {runs}"), None);
        add(&mut theirs, go(&peer, &tools.pulumi, run)?);
        let report = rust(&ours, &tools.pulumi, 1)?;
        if report.failures > 0 {
            bail!("a stack of ours failed; its error is above");
        }
        add(&mut mine, report.median_seconds);
        step.done("");
    }
    let mut metrics = Vec::new();
    for (operation, metric) in
        [("up", "up_p50"), ("up_again", "up_again_p50"), ("create", "create_p50"), ("destroy", "destroy_p50")]
    {
        let of = |side: &BTreeMap<String, Vec<f64>>| side.get(operation).map(|times| median(times));
        let (Some(mine), Some(theirs)) = (of(&mine), of(&theirs)) else {
            bail!("no time of {operation} was measured");
        };
        metrics.push(Metric::less_is_better(metric, mine, "s", PEER, theirs));
    }

    let step = ui::Step::begin(format!("{AT_ONCE} stacks at once in one process"), None);
    let report = rust(&ours, &tools.pulumi, AT_ONCE)?;
    step.done("");
    metrics.push(Metric::alone("stacks_50_failures", f64::from(report.failures), ""));
    metrics.push(Metric::alone("stacks_50_seconds", report.total_seconds, "s"));
    metrics.push(Metric::alone("rust_rss_mb", report.peak_rss_mb, "MB"));
    Ok(metrics)
}

fn add(all: &mut BTreeMap<String, Vec<f64>>, one: BTreeMap<String, f64>) {
    for (operation, seconds) in one {
        all.entry(operation).or_default().push(seconds);
    }
}

/// What the example `many_stacks` prints.
#[derive(Deserialize)]
struct Report {
    failures: u32,
    total_seconds: f64,
    median_seconds: BTreeMap<String, f64>,
    peak_rss_mb: f64,
}

fn rust(program: &Path, pulumi: &Path, stacks: usize) -> Result<Report> {
    let stacks = stacks.to_string();
    let mut command = Command::new(program);
    command.arg("--pulumi").arg(pulumi).args(["--resources", RESOURCES]);
    command.args(["--stacks", &stacks, "--processes", &stacks]);
    // A stack that fails says why on the standard error, for whoever reads along.
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {}", program.display()))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&printed)
        .with_context(|| format!("many_stacks ended with {} and printed {printed:?}", output.status))
}

fn go(program: &Path, pulumi: &Path, run: u32) -> Result<BTreeMap<String, f64>> {
    let folder = tempfile::tempdir().context("cannot make a folder for the peer")?;
    let state = folder.path().join("state");
    std::fs::create_dir(&state).context("cannot make a folder for the peer's state")?;
    let beside = pulumi.parent().unwrap_or(Path::new("/"));
    let mut command = Command::new(program);
    command
        .args([&format!("stack-{run}"), RESOURCES])
        .current_dir(folder.path())
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", beside.display()))
        .env("PULUMI_HOME", folder.path().join("home"))
        .env("PULUMI_BACKEND_URL", format!("file://{}", state.display()))
        // What ours has as well, so that both do the same work.
        .env("PULUMI_CONFIG_PASSPHRASE", "")
        .env("PULUMI_SKIP_UPDATE_CHECK", "true")
        .env("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true")
        .env("PULUMI_DIY_BACKEND_NO_LEGACY_WARNING", "true");
    let printed = process::capture(&mut command)?;
    let line = printed.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("the peer printed {printed:?}"))
}

fn build_ours() -> Result<PathBuf> {
    ui::note("building the example many_stacks");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(paths::root());
    cargo.args(["build", "--locked", "--release", "--package", "automation", "--example", "many_stacks"]);
    process::run(&mut cargo)?;
    Ok(paths::programs(true).join("examples/many_stacks"))
}

/// Built once, from the pinned module.
fn build_peer() -> Result<PathBuf> {
    let folder = paths::tools()?.join(format!("{PEER}-{PEER_VERSION}"));
    let program = folder.join("peer");
    if program.is_file() {
        return Ok(program);
    }
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let step = ui::Step::begin(
        format!("building the Go Automation API {PEER_VERSION} to measure beside"),
        Some("once for this machine; about 3 min on 2 cores"),
    );
    let staged = folder.join("peer.part");
    let mut go = Command::new("go");
    go.current_dir(paths::root().join("engine/peer"))
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0")
        .args(["build", "-trimpath", "-o"])
        .arg(&staged)
        .arg(".");
    process::logged(&mut go, &paths::target().join("xtask/go-peer.log"))?;
    std::fs::rename(&staged, &program).with_context(|| program.display().to_string())?;
    step.done("");
    Ok(program)
}
