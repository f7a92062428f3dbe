//! What the benchmarks of Pulumi share: the official Automation API in Go as the peer, and our example
//! `many_stacks`, both with the same stack and a provider that does nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::metric::{Metric, median};
use crate::{paths, process, tools, ui, versions};

/// Its name in the metrics.
pub const PEER: &str = "go-auto";
/// Resources of a stack whose time is measured beside the peer's.
pub const RESOURCES: usize = 3;

/// Seconds of each operation, of every run.
pub type Laps = BTreeMap<String, Vec<f64>>;

/// Adds the seconds of one run.
pub fn add(all: &mut Laps, one: BTreeMap<String, f64>) {
    for (operation, seconds) in one {
        all.entry(operation).or_default().push(seconds);
    }
}

/// What the example `many_stacks` prints.
#[derive(Deserialize)]
pub struct Report {
    pub failures: u32,
    pub total_seconds: f64,
    pub median_seconds: BTreeMap<String, f64>,
    /// Written to the disk by the engine host; of one stack at a time.
    pub median_written_bytes: BTreeMap<String, f64>,
    pub peak_rss_mb: f64,
    pub host_peak_rss_mb: f64,
}

impl Report {
    /// An error if a stack failed; its own error is on the standard error.
    pub fn all_well(self) -> Result<Self> {
        if self.failures > 0 {
            bail!("{} stacks of ours failed; their errors are above", self.failures);
        }
        Ok(self)
    }
}

/// The medians of some operations in a row, beside the peer's.
pub fn beside(metric: &str, mine: &Laps, theirs: &Laps, operations: &[&str]) -> Result<Metric> {
    let sum = |laps: &Laps| {
        let medians = operations.iter().map(|operation| Some(median(laps.get(*operation)?)));
        medians.sum::<Option<f64>>().with_context(|| format!("no time of {operations:?} was measured"))
    };
    Ok(Metric::less_is_better(metric, sum(mine)?, "s", PEER, sum(theirs)?))
}

/// What runs our stacks.
pub enum Driver<'a> {
    Cli(&'a Path),
    Host(&'a Path),
}

/// Brings `stacks` of `resources` up and down with ours, `at_once` of them at a time.
pub fn ours(
    program: &Path,
    driver: &Driver<'_>,
    resources: usize,
    stacks: usize,
    at_once: usize,
) -> Result<Report> {
    run_ours(program, driver, &[("--resources", resources), ("--stacks", stacks), ("--at-once", at_once)])
}

/// How the memory of one process of the engine host grows over so many operations on `stacks`.
#[derive(Deserialize)]
pub struct Growth {
    pub host_rss_per_1000_ops_mb: f64,
}

/// Brings `stacks` up again and again in one process of the engine host.
pub fn growth(
    program: &Path,
    driver: &Driver<'_>,
    operations: usize,
    stacks: usize,
    at_once: usize,
) -> Result<Growth> {
    run_ours(program, driver, &[("--operations", operations), ("--stacks", stacks), ("--at-once", at_once)])
}

fn run_ours<T: serde::de::DeserializeOwned>(
    program: &Path,
    driver: &Driver<'_>,
    numbers: &[(&str, usize)],
) -> Result<T> {
    let mut command = Command::new(program);
    match driver {
        Driver::Cli(pulumi) => command.arg("--pulumi").arg(pulumi),
        Driver::Host(host) => command.arg("--host").arg(host),
    };
    for (flag, value) in numbers {
        command.args([*flag, &value.to_string()]);
    }
    settle();
    // A stack that fails says why on the standard error, for whoever reads along.
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {}", program.display()))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&printed)
        .with_context(|| format!("many_stacks ended with {} and printed {printed:?}", output.status))
}

/// What one side has left to be written is not paid for by the other.
fn settle() {
    rustix::fs::sync();
}

/// One run of the peer; the seconds of each operation.
pub fn theirs(program: &Path, pulumi: &Path, run: u32) -> Result<BTreeMap<String, f64>> {
    let folder = tempfile::tempdir().context("cannot make a folder for the peer")?;
    let state = folder.path().join("state");
    std::fs::create_dir(&state).context("cannot make a folder for the peer's state")?;
    let beside = pulumi.parent().unwrap_or(Path::new("/"));
    let mut command = Command::new(program);
    command
        .args([format!("stack-{run}"), RESOURCES.to_string()])
        .current_dir(folder.path())
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", beside.display()))
        .env("PULUMI_HOME", folder.path().join("home"))
        .env("PULUMI_BACKEND_URL", format!("file://{}", state.display()))
        // What ours has as well, so that both do the same work.
        .env("PULUMI_CONFIG_PASSPHRASE", "")
        .env("PULUMI_SKIP_UPDATE_CHECK", "true")
        .env("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true")
        .env("PULUMI_DIY_BACKEND_NO_LEGACY_WARNING", "true");
    settle();
    let printed = process::capture(&mut command)?;
    let line = printed.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("the peer printed {printed:?}"))
}

/// Built once, from the pinned module.
pub fn build_peer() -> Result<PathBuf> {
    let folder = paths::tools()?.join(format!("{PEER}-{}", versions::NEWEST));
    let program = folder.join("peer");
    if program.is_file() {
        return Ok(program);
    }
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let step = ui::Step::begin(
        format!("building the Go Automation API {} to measure beside", versions::NEWEST),
        Some("once for this machine; about 3 min on 2 cores"),
    );
    let staged = folder.join("peer.part");
    tools::go::build("engine/peer", ".", None, &staged)?;
    std::fs::rename(&staged, &program).with_context(|| program.display().to_string())?;
    step.done("");
    Ok(program)
}
