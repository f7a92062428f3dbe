//! What happens in a round, all of it from one number: who asks for what and when, and what breaks and when.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt, SeedableRng};

use crate::options::{Provider, Store};

/// The names that clients quarrel about.
const SLUGS: [&str; 5] = ["ada", "bob", "cleo", "dan", "eve"];

#[derive(Debug, Clone)]
pub struct Plan {
    pub round: u32,
    pub clients: Vec<Vec<Step>>,
    pub faults: Vec<(At, Fault)>,
}

/// One request of a client.
#[derive(Debug, Clone)]
pub struct Step {
    /// Since the step before.
    pub after: Duration,
    pub ask: Ask,
    /// The same is sent twice at once, with one key.
    pub twice: bool,
}

#[derive(Debug, Clone)]
pub enum Ask {
    Create(&'static str),
    /// `start`, `stop`, ... of a workspace.
    Change(&'static str, &'static str),
    Rename(&'static str, &'static str),
    Delete(&'static str),
    /// Of what all workspaces share.
    Teardown,
    /// The operation that this client has begun last.
    Cancel,
}

/// When a fault begins.
#[derive(Debug, Clone, Copy)]
pub enum At {
    After(Duration),
    /// The provider's cloud has done this write of the round, and nobody hears of it.
    Write(u32),
}

#[derive(Debug, Clone)]
pub enum Fault {
    KillServer { server: usize, down: Duration },
    EndServer { server: usize },
    KillEngine { server: usize },
    PauseServer { server: usize, time: Duration },
    RestartDatabase { mode: &'static str },
    PauseDatabase { time: Duration },
    RefuseWrites { time: Duration },
    LoseAnswers { percent: u8, seed: u64, time: Duration },
    SlowProvider { by: Duration, time: Duration },
    BusyProvider { percent: u8, seed: u64, time: Duration },
    CutOffProvider { time: Duration },
    HangProvider { time: Duration },
    KillMachine { which: usize },
    RemoveMachine { which: usize },
}

impl Plan {
    /// The same for the same numbers.
    pub fn of(seed: u64, round: u32, store: Store, provider: Provider) -> Self {
        let mut chance = StdRng::seed_from_u64(seed ^ (u64::from(round) << 32));
        let slugs = &SLUGS[..if provider.is_heavy() { 2 } else { SLUGS.len() }];
        let most = if provider.is_heavy() { 3 } else { 6 };
        let clients = (0..chance.random_range(2..=most))
            .map(|_| (0..chance.random_range(1..=4)).map(|_| step(&mut chance, slugs)).collect())
            .collect();
        let faults = (0..chance.random_range(1..=3)).map(|_| fault(&mut chance, store, provider)).collect();
        Self { round, clients, faults }
    }
}

fn step(chance: &mut StdRng, slugs: &[&'static str]) -> Step {
    let slug = pick(chance, slugs);
    let ask = match chance.random_range(0..21) {
        0..8 => Ask::Create(slug),
        8..10 => Ask::Change("start", slug),
        10..12 => Ask::Change("stop", slug),
        12 => Ask::Change("restart", slug),
        13 => Ask::Change("apply", slug),
        14 => Ask::Change("suspend", slug),
        15 => Ask::Change("resume", slug),
        16 => Ask::Rename(slug, pick(chance, slugs)),
        17 => Ask::Cancel,
        20 => Ask::Teardown,
        _ => Ask::Delete(slug),
    };
    Step { after: millis(chance, 0, 500), ask, twice: chance.random_range(0..4) == 0 }
}

fn fault(chance: &mut StdRng, store: Store, provider: Provider) -> (At, Fault) {
    let server = chance.random_range(0..store.servers());
    let (seed, which) = (chance.random(), chance.random_range(0..64));
    let time = millis(chance, 300, 2500);
    // Longer than the claims of the server hold.
    let asleep = crate::world::lease() + millis(chance, 300, 1500);
    let kill = Fault::KillServer { server, down: millis(chance, 0, 2000) };
    let mut faults = vec![
        kill.clone(),
        kill,
        Fault::EndServer { server },
        Fault::KillEngine { server },
        Fault::PauseServer { server, time: asleep },
        Fault::RemoveMachine { which },
    ];
    if store == Store::Postgres {
        faults.extend([
            Fault::RestartDatabase { mode: pick(chance, &["fast", "immediate"]) },
            Fault::PauseDatabase { time },
            Fault::RefuseWrites { time },
        ]);
    }
    if provider.is_heavy() {
        faults.push(Fault::KillMachine { which });
    }
    if provider != Provider::Docker {
        faults.extend([
            Fault::LoseAnswers { percent: chance.random_range(10..=60), seed, time },
            Fault::SlowProvider { by: millis(chance, 20, 400), time },
            Fault::BusyProvider { percent: chance.random_range(20..=100), seed, time },
            Fault::CutOffProvider { time },
            Fault::HangProvider { time },
        ]);
    }
    let fault = faults.choose(chance).cloned().unwrap_or(Fault::KillEngine { server });
    let at_write = provider == Provider::Fake && fault.is_of_a_process() && chance.random_range(0..2) == 0;
    let at = match at_write {
        true => At::Write(chance.random_range(1..=12)),
        false => At::After(millis(chance, 0, 1800)),
    };
    (at, fault)
}

impl Fault {
    /// One that is most interesting in the middle of a call.
    fn is_of_a_process(&self) -> bool {
        matches!(self, Fault::KillServer { .. } | Fault::KillEngine { .. } | Fault::PauseServer { .. })
    }

    /// As tables and schedules name it.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::KillServer { .. } => "kill -9 of an orchestrator",
            Fault::EndServer { .. } => "SIGTERM of an orchestrator",
            Fault::KillEngine { .. } => "kill -9 of an engine host",
            Fault::PauseServer { .. } => "SIGSTOP of an orchestrator",
            Fault::RestartDatabase { mode: "fast" } => "fast restart of PostgreSQL",
            Fault::RestartDatabase { .. } => "immediate restart of PostgreSQL",
            Fault::PauseDatabase { .. } => "SIGSTOP of PostgreSQL",
            Fault::RefuseWrites { .. } => "PostgreSQL takes no writes",
            Fault::LoseAnswers { .. } => "provider's answers lost",
            Fault::SlowProvider { .. } => "provider slow",
            Fault::BusyProvider { .. } => "provider refuses with a time to wait",
            Fault::CutOffProvider { .. } => "provider unreachable",
            Fault::HangProvider { .. } => "provider hangs",
            Fault::KillMachine { .. } => "machine killed by hand",
            Fault::RemoveMachine { .. } => "machine removed by hand",
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, steps) in self.clients.iter().enumerate() {
            write!(f, "client {number}:")?;
            for step in steps {
                let twice = if step.twice { " (twice)" } else { "" };
                write!(f, " +{}ms {:?}{twice};", step.after.as_millis(), step.ask)?;
            }
            writeln!(f)?;
        }
        for (at, fault) in &self.faults {
            writeln!(f, "fault: {at:?} {fault:?}")?;
        }
        Ok(())
    }
}

fn millis(chance: &mut StdRng, least: u64, most: u64) -> Duration {
    Duration::from_millis(chance.random_range(least..=most))
}

fn pick(chance: &mut StdRng, from: &[&'static str]) -> &'static str {
    from.choose(chance).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_round_give_the_same_plan_every_time_and_another_round_another_one() {
        let plan = |seed, round| Plan::of(seed, round, Store::Postgres, Provider::Fake).to_string();
        assert_eq!(plan(7, 3), plan(7, 3));
        assert_ne!(plan(7, 3), plan(7, 4));
        assert_ne!(plan(7, 3), plan(8, 3));
    }

    #[test]
    fn every_fault_of_a_store_comes_up_and_none_that_it_cannot_have() {
        let names = |store, provider| -> std::collections::BTreeSet<&str> {
            let plans = (0..400).map(|round| Plan::of(1, round, store, provider));
            plans.flat_map(|plan| plan.faults).map(|(_, fault)| fault.name()).collect()
        };
        assert_eq!(names(Store::Postgres, Provider::Fake).len(), 14);
        assert_eq!(names(Store::Sqlite, Provider::Fake).len(), 10);
        let docker = names(Store::Sqlite, Provider::Docker);
        assert!(docker.contains("machine killed by hand") && docker.len() == 6, "{docker:?}");
        assert_eq!(names(Store::Sqlite, Provider::Fly).len(), 11);
    }
}
