//! `engine`: stacks in the warm engine host beside the official Automation API in Go, then many at once,
//! then one that is large.

use anyhow::{Result, bail};

use super::metric::{Metric, median};
use super::stacks::{self, Driver, Laps, RESOURCES};
use crate::{build, system, tools, ui};

/// How many stacks of ours stand against each one of the peer, one after the other: they are short.
const EACH: usize = 10;
const MANY: usize = 100;
const AT_ONCE: usize = 8;
/// For the growth of one process, which is not recycled meanwhile.
const OPERATIONS: usize = 10_000;
const GROWING: usize = 200;
const SMALL: usize = 100;
const LARGE: usize = 1000;

/// Measures; `runs` of each side.
pub fn run(runs: u32, yes: bool) -> Result<Vec<Metric>> {
    system::ensure(system::BASIC, yes)?;
    let tools = tools::ensure()?;
    let Some(host) = &tools.host else { bail!("there is no engine host without Go; install it first") };
    let (ours, peer) = (build::measured()?.example("many_stacks"), stacks::build_peer()?);
    let driver = Driver::Host(host);

    let (mut mine, mut theirs) = (Laps::new(), Laps::new());
    for run in 1..=runs {
        let step = ui::Step::begin(format!("run {run} of {runs}"), None);
        stacks::add(&mut theirs, stacks::theirs(&peer, &tools.pulumi, run)?);
        stacks::add(&mut mine, stacks::ours(&ours, &driver, RESOURCES, EACH, 1)?.all_well()?.median_seconds);
        step.done("");
    }
    let mut metrics = vec![
        stacks::beside("create_up_p50", &mine, &theirs, &["create", "up"])?,
        stacks::beside("up_unchanged_p50", &mine, &theirs, &["up_again"])?,
        stacks::beside("destroy_p50", &mine, &theirs, &["destroy"])?,
    ];

    let step = ui::Step::begin(format!("{MANY} stacks, {AT_ONCE} at once"), None);
    let report = stacks::ours(&ours, &driver, RESOURCES, MANY, AT_ONCE)?;
    step.done("");
    metrics.push(Metric::alone("stacks_100_failures", f64::from(report.failures), ""));
    metrics.push(Metric::alone("stacks_100_seconds", report.total_seconds, "s"));
    metrics.push(Metric::alone("host_rss_mb", report.host_peak_rss_mb, "MB"));

    let step = ui::Step::begin(format!("{OPERATIONS} operations on {GROWING} stacks in one process"), None);
    let growth = stacks::growth(&ours, &driver, OPERATIONS, GROWING, AT_ONCE)?;
    step.done("");
    metrics.push(Metric::alone("host_rss_per_1000_ops_mb", growth.host_rss_per_1000_ops_mb, "MB"));

    // In turns, so that whatever else the machine does hits both.
    let (mut small, mut large) = (Growth::default(), Growth::default());
    for run in 1..=runs {
        let step = ui::Step::begin(format!("{SMALL} and {LARGE} resources, run {run} of {runs}"), None);
        for (size, growth) in [(SMALL, &mut small), (LARGE, &mut large)] {
            growth.add(&stacks::ours(&ours, &driver, size, 1, 1)?.all_well()?);
        }
        step.done("");
    }
    metrics.push(Metric::alone("hundred_resources_seconds", median(&small.seconds), "s"));
    metrics.push(Metric::alone("thousand_resources_seconds", median(&large.seconds), "s"));
    let times = |of: fn(&Growth) -> &[f64]| median(of(&large)) / median(of(&small));
    metrics.push(Metric::alone("thousand_resources_time", times(|growth| &growth.seconds), "x of 100"));
    metrics.push(Metric::alone("thousand_resources_bytes", times(|growth| &growth.bytes), "x of 100"));
    Ok(metrics)
}

/// The first `up` of a stack, measured some times.
#[derive(Default)]
struct Growth {
    seconds: Vec<f64>,
    bytes: Vec<f64>,
}

impl Growth {
    fn add(&mut self, report: &stacks::Report) {
        self.seconds.extend(report.median_seconds.get("up"));
        self.bytes.extend(report.median_written_bytes.get("up"));
    }
}
