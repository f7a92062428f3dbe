//! `provision`: a cold create on Docker beside a plain `docker run`, measured in turns, so that whatever
//! else the machine does hits both alike.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

use super::metric::{Metric, median};
use super::plain;
use super::product::Product;
use crate::{build, image, process, system, tools, ui};

/// Long enough for connections and buffers of the last delete to be given back.
const SETTLE: Duration = Duration::from_secs(5);

/// Measures; `runs` of each side.
pub fn run(runs: u32, yes: bool) -> Result<Vec<Metric>> {
    system::ensure(system::DOCKER, yes)?;
    system::ensure_docker()?;
    let (tools, programs) = process::both(tools::ensure_to_run, build::measured)?;
    image::ensure(&programs, &tools.opencode, yes)?;
    let data = tempfile::tempdir()?;
    let boot_files = boot_files(data.path())?;
    let product = Product::start(&programs.pilot(), &data.path().join("data"))?;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut provider = Vec::new();
    let mut order: Vec<String> = Vec::new();
    let mut phases: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for run in 1..=runs {
        let step = ui::Step::begin(format!("run {run} of {runs}"), None);
        let slug = format!("bench-{run}");
        theirs.push(plain::measure(&boot_files)?);
        let before = product.provider_seconds()?;
        let created = product.create(&slug)?;
        provider.push(product.provider_seconds()? - before);
        product.delete(&slug)?;
        ours.push(created.seconds);
        for (phase, seconds) in created.phases {
            if !order.contains(&phase) {
                order.push(phase.clone());
            }
            phases.entry(phase).or_default().push(seconds);
        }
        step.done("");
    }
    std::thread::sleep(SETTLE);
    let (memory, host) = product.memory()?;

    let (ours, theirs) = (median(&ours), median(&theirs));
    let mut metrics = vec![Metric::less_is_better("cold_create_docker", ours, "s", "docker run", theirs)];
    for pair in order.windows(2) {
        let seconds = median(&phases[&pair[1]]);
        metrics.push(Metric::alone(format!("{}_to_{}", pair[0], pair[1]), seconds, "s"));
    }
    let applied = phases.get("applied").map(|seconds| {
        let own: Vec<f64> = seconds.iter().zip(&provider).map(|(all, provider)| all - provider).collect();
        median(&own)
    });
    metrics.push(Metric::alone("provider_work", median(&provider), "s"));
    metrics.push(Metric::alone("applied_over_provider_work", applied.unwrap_or(f64::NAN), "s"));
    metrics.push(Metric::alone("idle_rss_mb", memory, "MB"));
    metrics.push(Metric::alone("idle_host_rss_mb", host, "MB"));
    let bound = 1.25 * theirs + 1.5;
    let verdict = if ours <= bound { "within" } else { "over" };
    ui::note(format!("cold create: {ours:.2} s, {verdict} the bound of 1.25 x plain + 1.5 s = {bound:.2} s"));
    Ok(metrics)
}

/// What an instance needs to start: the key whose signatures it would accept.
fn boot_files(folder: &std::path::Path) -> Result<std::path::PathBuf> {
    let files = folder.join("boot");
    std::fs::create_dir(&files).context("cannot make the boot files")?;
    std::fs::write(files.join("gateway-key"), "A".repeat(43))?;
    Ok(files)
}
