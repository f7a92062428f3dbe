//! `bridge`: the Automation API in Rust beside the official one in Go, on the same CLI, with the same
//! stack and a provider that does nothing, in turns, so that whatever else the machine does hits both.

use anyhow::Result;

use super::metric::Metric;
use super::stacks::{self, Driver, Laps, RESOURCES};
use crate::{build, system, tools, ui};

const AT_ONCE: usize = 50;

/// Measures; `runs` of each side, then many stacks at once on ours.
pub fn run(runs: u32, yes: bool) -> Result<Vec<Metric>> {
    system::ensure(system::BASIC, yes)?;
    let tools = tools::ensure()?;
    let (ours, peer) = (build::measured()?.example("many_stacks"), stacks::build_peer()?);
    let driver = Driver::Cli(&tools.pulumi);

    let (mut mine, mut theirs) = (Laps::new(), Laps::new());
    for run in 1..=runs {
        let step = ui::Step::begin(format!("run {run} of {runs}"), None);
        stacks::add(&mut theirs, stacks::theirs(&peer, &tools.pulumi, run)?);
        stacks::add(&mut mine, stacks::ours(&ours, &driver, RESOURCES, 1, 1)?.all_well()?.median_seconds);
        step.done("");
    }
    let mut metrics = Vec::new();
    for (operation, metric) in
        [("up", "up_p50"), ("up_again", "up_again_p50"), ("create", "create_p50"), ("destroy", "destroy_p50")]
    {
        metrics.push(stacks::beside(metric, &mine, &theirs, &[operation])?);
    }

    let step = ui::Step::begin(format!("{AT_ONCE} stacks at once in one process"), None);
    let report = stacks::ours(&ours, &driver, RESOURCES, AT_ONCE, AT_ONCE)?;
    step.done("");
    metrics.push(Metric::alone("stacks_50_failures", f64::from(report.failures), ""));
    metrics.push(Metric::alone("stacks_50_seconds", report.total_seconds, "s"));
    metrics.push(Metric::alone("rust_rss_mb", report.peak_rss_mb, "MB"));
    Ok(metrics)
}
