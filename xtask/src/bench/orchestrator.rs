//! `orchestrator`: a real server with the fake provider and real stacks under the requests of many clients.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::metric::{Metric, median};
use crate::{build, system, tools, ui};

const CODER: &str = "Coder's plan for 1,000 users";

/// What the numbers are counted in; the other numbers have no unit.
const UNITS: [(&str, &str); 7] = [
    ("_per_s", "/s"),
    ("_ms", "ms"),
    ("_mb", "MB"),
    ("_percent", "%"),
    ("takeover_s", "s"),
    ("found_s", "s"),
    ("_errors", ""),
];

/// The median of `runs`.
pub fn run(runs: u32, yes: bool) -> Result<Vec<Metric>> {
    system::ensure(system::ENGINE, yes)?;
    tools::ensure()?;
    let programs = build::measured()?;
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for run in 1..=runs {
        let step = ui::Step::begin(format!("run {run} of {runs}"), Some("about 10 min each"));
        let output = Command::new(programs.example("load"))
            .arg("--pilot")
            .arg(programs.pilot())
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start the load")?;
        step.done("");
        let printed = String::from_utf8_lossy(&output.stdout);
        let metrics: BTreeMap<String, f64> = serde_json::from_str(&printed)
            .with_context(|| format!("the load ended with {} and printed {printed:?}", output.status))?;
        for (name, value) in metrics {
            all.entry(name).or_default().push(value);
        }
    }
    Ok(all.iter().map(|(name, values)| metric(name, median(values))).collect())
}

fn metric(name: &str, value: f64) -> Metric {
    let unit = UNITS.iter().find(|(end, _)| name.ends_with(end)).map_or("", |(_, unit)| *unit);
    match name {
        // 180 requests each second, of which 99 in 100 wait 300 ms at most.
        "mixed_p99_ms" => Metric::less_is_better(name, value, unit, CODER, 300.0),
        _ => Metric::alone(name, value, unit),
    }
}
