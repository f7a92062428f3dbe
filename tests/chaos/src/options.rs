//! What can be decided about a run.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Breaks what Pilot is made of, and asks a witness that is not Pilot. `cargo xtask chaos --help` says more.
#[derive(Debug, Clone, Parser)]
#[command(name = "pilot-chaos")]
pub struct Options {
    /// The `pilot` to break.
    #[arg(long)]
    pub pilot: PathBuf,
    /// Everything that happens follows from it.
    #[arg(long)]
    pub seed: u64,
    #[arg(long, default_value_t = 0)]
    pub rounds: u32,
    /// In so many worlds side by side.
    #[arg(long, default_value_t = 1)]
    pub worlds: u32,
    /// This one alone, in a new world.
    #[arg(long)]
    pub round: Option<u32>,
    /// Two orchestrators are asked the same at the same instant, so often.
    #[arg(long, default_value_t = 0)]
    pub races: u32,
    /// An orchestrator sleeps through its claims and wakes up, so often.
    #[arg(long, default_value_t = 0)]
    pub zombies: u32,
    /// So often something is killed while workspaces are made, updated, stopped, started and deleted.
    #[arg(long, default_value_t = 0)]
    pub kills: u32,
    /// Every kind of write to the disk fails once at each of its first occurrences, so many of them; with `strace`.
    #[arg(long, default_value_t = 0)]
    pub disk: u32,
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    pub store: Store,
    #[arg(long, value_enum, default_value_t = Provider::Fake)]
    pub provider: Provider,
    /// No new round begins after so many seconds.
    #[arg(long, default_value_t = 1800, value_parser = clap::value_parser!(u64).range(..=31_536_000))]
    pub seconds: u64,
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Store {
    Sqlite,
    Postgres,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    Fake,
    Docker,
    /// Its simulator, with containers of this host as machines.
    Fly,
}

impl Provider {
    pub fn name(self) -> &'static str {
        match self {
            Provider::Fake => "fake",
            Provider::Docker => "docker",
            Provider::Fly => "fly",
        }
    }

    /// Its machines are containers that boot what people run.
    pub fn is_heavy(self) -> bool {
        self != Provider::Fake
    }
}

impl Store {
    /// So many orchestrators share it.
    pub fn servers(self) -> usize {
        match self {
            Store::Sqlite => 1,
            Store::Postgres => 2,
        }
    }
}
