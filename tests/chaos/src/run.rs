//! A whole run: rounds, races, zombies and disk faults, each kind in worlds of its own, until all are done or the time is up.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::invariants::Violation;
use crate::options::{Options, Provider, Store};
use crate::plan::Plan;
use crate::report::{Found, Report};
use crate::world::World;
use crate::{disk, kills, races, round, zombies};

/// Without a terminal every so many are told.
const TOLD: u64 = 50;

/// After so many rounds a world has seen enough.
const ROUNDS: u32 = 50;

/// What a run has to go on with.
pub(crate) struct Run<'a> {
    pub options: &'a Options,
    report: Mutex<Report>,
    deadline: Instant,
}

/// So many at a time, in worlds that see so many.
pub(crate) struct Batches {
    pub what: &'static str,
    pub count: u32,
    pub at_once: u32,
    pub in_world: u32,
}

pub async fn run(options: &Options) -> Result<Report> {
    let began = Instant::now();
    let deadline = began + Duration::from_secs(options.seconds);
    let report = Report { seed: options.seed, ..Report::default() };
    let run = Run { options, report: Mutex::new(report), deadline };
    match options.round {
        Some(round) => run.rounds(round..round + 1).await?,
        None => run.rounds(0..options.rounds).await?,
    }
    if options.kills > 0 {
        kills::run(&run).await?;
    }
    if options.races > 0 {
        races::run(&run).await?;
    }
    if options.zombies > 0 {
        zombies::run(&run).await?;
    }
    if options.disk > 0 {
        disk::run(&run).await?;
    }
    let mut report = run.report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

impl Run<'_> {
    pub fn is_over(&self) -> bool {
        Instant::now() > self.deadline
    }

    pub fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each world takes the next round as soon as it has ended one.
    async fn rounds(&self, rounds: std::ops::Range<u32>) -> Result<()> {
        let bar = progress("rounds", rounds.len() as u64);
        let worlds = self.options.worlds.min(rounds.len() as u32);
        let rounds = Mutex::new(rounds);
        try_join_all((0..worlds).map(|_| self.some_rounds(&rounds, &bar))).await?;
        bar.finish_and_clear();
        Ok(())
    }

    async fn some_rounds(&self, rounds: &Mutex<std::ops::Range<u32>>, bar: &ProgressBar) -> Result<()> {
        let (store, provider) = (self.options.store, self.options.provider);
        let mut world = World::start(self.options).await?;
        let mut in_world = 0;
        while !self.is_over() {
            let next = rounds.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(number) = next else { break };
            let plan = Plan::of(self.options.seed, number, store, provider);
            bar.set_message(plan.faults.iter().map(|(_, it)| it.name()).collect::<Vec<_>>().join(", "));
            for (_, fault) in &plan.faults {
                *self.report().faults.entry(fault.name()).or_default() += 1;
            }
            let found = round::run(&world, provider, &plan).await;
            self.report().rounds += 1;
            in_world += 1;
            bar.inc(1);
            told(bar);
            let is_broken = !found.is_empty();
            self.found(&mut world, &format!("round {number}"), found, &plan.to_string(), Some(number));
            if is_broken || in_world >= ROUNDS {
                self.end(world).await?;
                (world, in_world) = (World::start(self.options).await?, 0);
            }
        }
        self.end(world).await
    }

    /// Two orchestrators on the fake provider go through batches until all are done or the time is up. `batch` gives its
    /// schedule, and what it found.
    pub async fn batches(
        &self,
        batches: Batches,
        mut batch: impl AsyncFnMut(&World, std::ops::Range<u32>) -> Result<(String, Vec<Violation>)>,
    ) -> Result<()> {
        let Batches { what, count, at_once, in_world } = batches;
        let options = Options { store: Store::Postgres, ..self.fake() };
        let bar = progress(what, count.into());
        let (mut world, mut done) = (World::start(&options).await?, 0);
        while done < count && !self.is_over() {
            let numbers = done..count.min(done + at_once);
            let place = format!("{what} {} to {}", numbers.start, numbers.end - 1);
            done = numbers.end;
            let (schedule, found) = batch(&world, numbers).await?;
            let is_broken = !found.is_empty();
            self.found(&mut world, &place, found, &schedule, None);
            bar.set_position(done.into());
            told(&bar);
            if is_broken || done.is_multiple_of(in_world) {
                self.end(world).await?;
                world = World::start(&options).await?;
            }
        }
        bar.finish_and_clear();
        self.end(world).await
    }

    /// The last questions to a world.
    pub async fn end(&self, mut world: World) -> Result<()> {
        let mut found = round::settle(&world, Duration::from_secs(60)).await;
        found.extend(round::farewell(&world).await?);
        self.found(&mut world, "at the end", found, "", None);
        self.report().add(&world);
        Ok(())
    }

    pub fn found(
        &self,
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
            let (store, provider) = (word(&format!("{store:?}")), provider.name());
            format!("cargo xtask chaos --seed {seed} --round {round} --store {store} --provider {provider}")
        });
        for violation in found {
            // At once, so that a run that is broken off has told it.
            let _ = writeln!(std::io::stderr(), "{place} {}: {}", violation.invariant, violation.detail);
            let (place, schedule) = (place.to_owned(), schedule.to_owned());
            let (kept, again) = (kept.clone(), again.clone());
            self.report().violations.push(Found { place, violation, schedule, kept, again });
        }
    }

    /// Whatever was chosen for the rounds, on the fake provider.
    pub fn fake(&self) -> Options {
        Options { provider: Provider::Fake, ..self.options.clone() }
    }
}

/// Where there is no terminal: how far it is, now and then.
pub(crate) fn told(bar: &ProgressBar) {
    let (done, all) = (bar.position(), bar.length().unwrap_or_default());
    if bar.is_hidden() && done.is_multiple_of(TOLD) {
        let _ = writeln!(std::io::stderr(), "{} {done} of {all}, {:.0?}", bar.prefix(), bar.elapsed());
    }
}

/// A moving line on a terminal; elsewhere nothing.
pub(crate) fn progress(what: &'static str, count: u64) -> ProgressBar {
    let bar = match std::io::stderr().is_terminal() {
        true => ProgressBar::new(count),
        false => ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::hidden()),
    };
    if let Ok(style) = ProgressStyle::with_template("{prefix} {pos}/{len} {wide_bar} {eta} {msg}") {
        bar.set_style(style);
    }
    bar.with_prefix(what)
}
