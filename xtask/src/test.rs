//! `cargo xtask test`: all tests of a class, with everything they need put in place first, and one count
//! at the end. The class is in the file name: `tests/engine_*.rs` starts real programs (Pulumi, Docker,
//! OpenCode), `tests/live_*.rs` needs a cloud account, everything else is a unit test.

use std::path::Path;

use anyhow::{Result, bail};

use crate::{build, image, system, tools, ui};

mod cargo;
mod counts;
mod live;
mod targets;

use counts::Counts;
use targets::Class;

/// Tests that begin with an installation of before.
const UPGRADE: &str = "upgrade::";

/// Run the tests: unit and engine, or the class you name.
///
/// unit: nothing outside the repository. engine: real Pulumi, Docker and OpenCode on this machine, put in
/// place first. live: real clouds; these run only with PILOT_LIVE=1 and the credentials they name, and
/// are counted as skipped otherwise; docs/live.md has all of it. The last line is the sum: `N passed, N failed, N skipped`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The class to run; default: unit, then engine.
    #[arg(value_enum)]
    class: Option<Class>,
    /// Install missing system packages with apt-get, without asking.
    #[arg(long)]
    yes: bool,
    /// Run only tests whose name contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

/// The command.
pub fn run(arguments: &Arguments) -> Result<()> {
    let targets = targets::read()?;
    let classes = match arguments.class {
        Some(class) => vec![class],
        None => vec![Class::Unit, Class::Engine],
    };
    let filter = arguments.filter.as_deref();
    let mut results: Vec<(&str, Counts)> = Vec::new();
    for class in classes {
        let counts = match class {
            Class::Unit => unit(&targets, filter)?,
            Class::Engine => engine(&targets, filter, arguments.yes)?,
            Class::Live => live::run(&targets, filter)?,
        };
        results.push((class.name(), counts));
    }
    if !report(&results, filter.is_some()) {
        // Not an error of xtask's: the sum stays the last line, and the exit code says the rest.
        std::process::exit(1);
    }
    Ok(())
}

fn unit(targets: &targets::Targets, filter: Option<&str>) -> Result<Counts> {
    ui::note("unit tests");
    let mut counts = cargo::test(&targets.unit(), filter, &[], &[])?;
    counts.add(cargo::test(&["--doc".to_owned()], filter, &[], &[])?);
    Ok(counts)
}

fn engine(targets: &targets::Targets, filter: Option<&str>, yes: bool) -> Result<Counts> {
    ui::note("engine tests");
    system::ensure(system::ENGINE, yes)?;
    system::ensure_docker()?;
    let tools = tools::ensure()?;
    tools::ensure_for_tests()?;
    let programs = build::tested()?;
    image::ensure(&programs, &tools.opencode, yes)?;
    image::ensure_pilot(&programs, &tools, yes)?;
    let names = targets.of(Class::Engine);
    if names.is_empty() {
        bail!("there is no engine test: no crate has a file tests/engine_*.rs");
    }
    // Each of these starts whole instances; more at once only makes them wait for each other.
    let mut harness = vec!["--test-threads", "2"];
    // Not for a filter that no such test fits: it is a whole build.
    let fits = filter.is_none_or(|text| UPGRADE.contains(text) || text.contains("upgrade"));
    let before = if fits { tools::before()? } else { None };
    if before.is_none() {
        harness.extend(["--skip", UPGRADE]);
    }
    let env = before.map(|folder| ("PILOT_TEST_BEFORE", folder));
    let mut counts = cargo::test(&names, filter, &harness, env.as_slice())?;
    if env.is_none() && fits {
        let skipped = cargo::list(&names, Some(UPGRADE))?;
        counts.skipped += skipped;
        counts
            .reasons
            .push(format!("{UPGRADE} (this clone has no history to build the Pilot of before from)"));
    }
    counts.add(host(filter, &tools.pulumi)?);
    counts.add(document(&programs, filter));
    Ok(counts)
}

/// A short and seeded part of `cargo xtask api-check`, as one test.
fn document(programs: &build::Programs, filter: Option<&str>) -> Counts {
    const NAME: &str = "api::the_lifecycle_api_answers_as_its_document_says";
    const CASES: u64 = 1_000;
    if filter.is_some_and(|text| !NAME.contains(text)) {
        return Counts::default();
    }
    match crate::api::check(&programs.pilot(), CASES, 1) {
        Ok(asked) => {
            ui::say(format!("test {NAME} ... ok ({asked} requests)"));
            Counts { passed: 1, ..Counts::default() }
        }
        Err(error) => {
            ui::say(format!("test {NAME} ... FAILED\n{error:#}"));
            Counts { failed: 1, failures: vec![NAME.to_owned()], ..Counts::default() }
        }
    }
}

/// The engine host's own tests, which are Go's.
fn host(filter: Option<&str>, pulumi: &Path) -> Result<Counts> {
    let mut go = tools::go::command(tools::HOST_MODULE);
    go.env("PILOT_TEST_PULUMI", pulumi)
        .env("PILOT_TEST_OLDER_PULUMI", tools::older()?)
        .args(["test", "-v", "-count=1"])
        .args(filter.map(|text| format!("-run={text}")))
        .arg("./...");
    counts::counted(&mut go, Counts::read_go)
}

/// One line for each class, the sum last and alone on its line. True when all is well.
fn report(results: &[(&str, Counts)], filtered: bool) -> bool {
    let mut sum = Counts::default();
    ui::say("");
    for (class, counts) in results {
        ui::say(format!("{class}: {counts}"));
        for failure in &counts.failures {
            ui::say(format!("  failed: {failure}"));
        }
        for reason in &counts.reasons {
            ui::say(format!("  skipped: {reason}"));
        }
        sum.add(counts.clone());
    }
    let ran_nothing = results.iter().any(|(class, counts)| *class == "engine" && counts.ran() == 0);
    let nothing_proved = ran_nothing && !filtered;
    if nothing_proved {
        ui::say("no engine test ran, which proves nothing");
    }
    ui::say(format!("{sum}"));
    sum.failed == 0 && !nothing_proved
}
