//! `cargo xtask bench NAME`: one measurement beside its peer, in the same run on the same machine, because
//! only the ratio of the two means anything elsewhere.

use anyhow::Result;

mod bridge;
mod engine;
mod metric;
mod orchestrator;
mod plain;
pub mod product;
mod provider;
mod provision;
mod stacks;

/// Run one benchmark beside its peer.
///
/// provision: how long a cold create of a container workspace takes, beside a plain `docker run` of the
/// same image, with the phases of the create, and the memory that the idle server needs.
///
/// bridge: how long operations on a stack take with the `automation` crate, beside the official Automation
/// API in Go on the same CLI, and whether 50 stacks at once in one process work, and in how much memory.
///
/// engine: the same with the warm engine host: create and up, an up without changes, 100 stacks at 8 at
/// once with the host's memory, and how time and bytes written grow from 100 resources to 1,000.
///
/// orchestrator: how many creates are accepted and made each second, how long requests of a mixed load wait, what 10,000
/// stored workspaces cost, and how soon a restart and a take-over are done; beside what Coder plans for.
///
/// provider: how many calls one create makes at Fly and at Cloudflare, on their simulators, and how long a
/// create on Docker takes beside the same calls of the raw API, with suspend and resume.
#[derive(clap::Args)]
pub struct Arguments {
    #[arg(value_enum)]
    name: Name,
    /// One JSON object per metric: {"metric","value","unit","peer","peer_value","ratio"}. `ratio` is how
    /// many times better than the peer: 2 is twice as good, whichever direction is good.
    #[arg(long)]
    json: bool,
    /// How often each side is measured; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Install missing system packages with apt-get, without asking.
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Name {
    Provision,
    Bridge,
    Engine,
    Orchestrator,
    Provider,
}

/// The command.
pub fn run(arguments: &Arguments) -> Result<()> {
    let metrics = match arguments.name {
        Name::Provision => provision::run(arguments.runs, arguments.yes)?,
        Name::Bridge => bridge::run(arguments.runs, arguments.yes)?,
        Name::Engine => engine::run(arguments.runs, arguments.yes)?,
        Name::Orchestrator => orchestrator::run(arguments.runs, arguments.yes)?,
        Name::Provider => provider::run(arguments.runs, arguments.yes)?,
    };
    metric::print(&metrics, arguments.json)
}
