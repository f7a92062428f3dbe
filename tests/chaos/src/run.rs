//! A whole run: rounds, races, zombies and disk faults, each kind in worlds of its own, until all are done or the time is up.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::invariants::Violation;
use crate::options::{Options, Provider, Store};
use crate::plan::Plan;
use crate::report::{Found, Report};
use crate::world::World;
use crate::{disk, races, round, zombies};

/// After so many rounds a world has seen enough.
const ROUNDS: u32 = 50;

/// What a run has to go on with.
pub(crate) struct Run<'a> {
    pub options: &'a Options,
    pub report: Report,
    deadline: Instant,
}

pub async fn run(options: &Options) -> Result<Report> {
    let began = Instant::now();
    let deadline = began + Duration::from_secs(options.seconds);
    let report = Report { seed: options.seed, ..Report::default() };
    let mut run = Run { options, report, deadline };
    match options.round {
        Some(round) => run.rounds(round..round + 1).await?,
        None => run.rounds(0..options.rounds).await?,
    }
    if options.races > 0 {
        races::run(&mut run).await?;
    }
    if options.zombies > 0 {
        zombies::run(&mut run).await?;
    }
    if options.disk > 0 {
        disk::run(&mut run).await?;
    }
    run.report.seconds = began.elapsed().as_secs_f64();
    Ok(run.report)
}

impl Run<'_> {
    pub fn is_over(&self) -> bool {
        Instant::now() > self.deadline
    }

    async fn rounds(&mut self, rounds: std::ops::Range<u32>) -> Result<()> {
        if rounds.is_empty() {
            return Ok(());
        }
        let (store, provider) = (self.options.store, self.options.provider);
        let bar = progress("rounds", rounds.len() as u64);
        let mut world = World::start(self.options).await?;
        let mut in_world = 0;
        for number in rounds {
            if self.is_over() {
                break;
            }
            let plan = Plan::of(self.options.seed, number, store, provider);
            bar.set_message(plan.faults.iter().map(|(_, it)| it.name()).collect::<Vec<_>>().join(", "));
            for (_, fault) in &plan.faults {
                *self.report.faults.entry(fault.name()).or_default() += 1;
            }
            let found = round::run(&world, provider, &plan).await;
            (self.report.rounds, in_world) = (self.report.rounds + 1, in_world + 1);
            bar.inc(1);
            let is_broken = !found.is_empty();
            self.found(&mut world, &format!("round {number}"), found, &plan.to_string(), Some(number));
            if is_broken || in_world >= ROUNDS {
                self.end(world).await?;
                (world, in_world) = (World::start(self.options).await?, 0);
            }
        }
        bar.finish_and_clear();
        self.end(world).await
    }

    /// The last questions to a world.
    pub async fn end(&mut self, mut world: World) -> Result<()> {
        let mut found = round::settle(&world, Duration::from_secs(60)).await;
        found.extend(round::farewell(&world).await?);
        self.found(&mut world, "at the end", found, "", None);
        self.report.add(&world);
        Ok(())
    }

    pub fn found(
        &mut self,
        world: &mut World,
        place: &str,
        found: Vec<Violation>,
        schedule: &str,
        round: Option<u32>,
    ) {
        if found.is_empty() {
            return;
        }
        let kept = world.keep().map(|folder| folder.display().to_string());
        let word = |kind: &str| kind.to_lowercase();
        let again = round.map(|round| {
            let Options { seed, store, provider, .. } = self.options;
            let (store, provider) = (word(&format!("{store:?}")), word(&format!("{provider:?}")));
            format!("cargo xtask chaos --seed {seed} --round {round} --store {store} --provider {provider}")
        });
        for violation in found {
            // At once, so that a run that is broken off has told it.
            let _ = writeln!(std::io::stderr(), "{place} {}: {}", violation.invariant, violation.detail);
            let (place, schedule) = (place.to_owned(), schedule.to_owned());
            let (kept, again) = (kept.clone(), again.clone());
            self.report.violations.push(Found { place, violation, schedule, kept, again });
        }
    }

    /// Two orchestrators on the fake provider, whatever was chosen for the rounds.
    pub fn shared(&self) -> Options {
        Options { store: Store::Postgres, provider: Provider::Fake, ..self.options.clone() }
    }
}

/// A moving line on a terminal; elsewhere nothing.
pub(crate) fn progress(what: &'static str, count: u64) -> ProgressBar {
    let bar = match std::io::stderr().is_terminal() {
        true => ProgressBar::new(count),
        false => ProgressBar::hidden(),
    };
    if let Ok(style) = ProgressStyle::with_template("{prefix} {pos}/{len} {wide_bar} {eta} {msg}") {
        bar.set_style(style);
    }
    bar.with_prefix(what)
}
