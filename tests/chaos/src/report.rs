//! What came of a run, for people and for programs.

use std::collections::BTreeMap;
use std::io::Write as _;

use serde::Serialize;

use crate::invariants::{ALL, Violation};
use crate::world::World;

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub seed: u64,
    pub rounds: u32,
    pub races: u32,
    pub zombies: u32,
    /// Of them, those that woke up while another had taken over.
    pub taken_over: u32,
    pub disk_faults: u32,
    pub kills: u32,
    /// Of them, those that hit an operation which had not ended.
    pub kills_in_the_middle: u32,
    /// What was written into each home when it was new, and was looked for after each kill.
    pub homes_marked: usize,
    pub worlds: u32,
    pub seconds: f64,
    pub operations: BTreeMap<String, u64>,
    pub answers: BTreeMap<String, u64>,
    pub faults: BTreeMap<&'static str, u64>,
    pub provider_writes: usize,
    pub violations: Vec<Found>,
}

/// One violation, and how to see it again.
#[derive(Debug, Serialize)]
pub struct Found {
    pub place: String,
    #[serde(flatten)]
    pub violation: Violation,
    pub schedule: String,
    /// Logs, store and states of the world.
    pub kept: Option<String>,
    pub again: Option<String>,
}

impl Report {
    /// What a world that ends has seen.
    pub fn add(&mut self, world: &World) {
        self.worlds += 1;
        self.provider_writes += world.witness.journal().len();
        let kept = world.ledger.lock();
        self.homes_marked += kept.marked.len();
        for accepted in kept.accepted.values() {
            *self.operations.entry(accepted.ended.clone().unwrap_or("open".into())).or_default() += 1;
        }
        for (answer, count) in &kept.answers {
            *self.answers.entry(answer.clone()).or_default() += count;
        }
    }

    pub fn print(&self, json: bool) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if json {
            return writeln!(out, "{}", serde_json::to_string(self)?);
        }
        for of_place in self.violations.chunk_by(|one, next| one.place == next.place) {
            writeln!(out)?;
            for found in of_place {
                writeln!(out, "{} {}: {}", found.place, found.violation.invariant, found.violation.detail)?;
            }
            // One schedule, one world.
            let Some(found) = of_place.first() else { continue };
            write!(out, "{}", found.schedule)?;
            for (word, text) in [("kept in", &found.kept), ("again with", &found.again)] {
                if let Some(text) = text {
                    writeln!(out, "{word}: {text}")?;
                }
            }
        }
        writeln!(
            out,
            "\nseed {}: {} rounds, {} kills ({} in the middle of an operation), {} races, {} zombies ({} taken over), \
             {} disk faults in {} worlds, {:.0} s",
            self.seed,
            self.rounds,
            self.kills,
            self.kills_in_the_middle,
            self.races,
            self.zombies,
            self.taken_over,
            self.disk_faults,
            self.worlds,
            self.seconds
        )?;
        writeln!(
            out,
            "writes at the provider: {}, homes with a mark: {}",
            self.provider_writes, self.homes_marked
        )?;
        for (title, counts) in [("operations", &self.operations), ("answers", &self.answers)] {
            let line: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            writeln!(out, "{title}: {}", line.join(", "))?;
        }
        for (fault, count) in &self.faults {
            writeln!(out, "  {count:>6} {fault}")?;
        }
        for (name, words) in ALL {
            let count = self.violations.iter().filter(|found| found.violation.invariant == *name).count();
            let mark = if count == 0 { "ok" } else { "!!" };
            writeln!(out, "{mark} {name:<32} {count:>4} violations: {words}")?;
        }
        Ok(())
    }
}
