//! `cargo xtask chaos`: breaks what Pilot is made of, and asks a witness that is not Pilot. What happens is in `tests/chaos/`;
//! this puts in place what it needs.

use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::{build, image, system, tools, ui};

/// Kill, pause and starve what Pilot is made of, and check invariants with a witness that is not Pilot.
///
/// A round is a few clients that create, start, stop, rename and delete workspaces at once, while one to three things break:
/// an orchestrator or its engine host is killed, ended or stopped for longer than its claims hold, PostgreSQL restarts or
/// stops, the provider loses answers, hangs, is slow, busy or away, machines are removed by hand. Then all is healed, and
/// within a deadline everything that was accepted has to have ended once, and what exists has to be what is desired. The
/// witness is the fake provider's cloud, which runs in the command itself and keeps a journal of its writes, Docker, or
/// the simulator of Fly.
///
/// `cargo xtask chaos --rounds 50` is a first look, about 5 min. `--worlds 4` has the rounds in four worlds at once, for long
/// runs. `--store postgres` has two orchestrators.
/// `--races 400` asks both of them the same at the same instant; `--zombies 100` lets one sleep through its claims and wake
/// up; `--kills 200` kills orchestrator and engine host in one kind of operation after the other; `--disk 20` lets each kind of write to the disk fail at its first 20 occurrences (needs `strace`).
///
/// A violation is printed with its schedule, the folder that holds logs and store, and the command that runs the round
/// again. What happens is the same then; how processes are scheduled is not, so run it a few times. Exit code 1: something
/// does not hold. 2: it could not be found out. docs/chaos.md lists the invariants.
#[derive(clap::Args)]
pub struct Arguments {
    /// Everything that happens follows from it [default: another one each time, which is printed]
    #[arg(long)]
    seed: Option<u64>,
    /// How many rounds; 20 when nothing else is asked for
    #[arg(long)]
    rounds: Option<u32>,
    /// In how many worlds side by side the rounds go on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    worlds: u32,
    /// Run this round alone, in a new world
    #[arg(long, conflicts_with = "rounds")]
    round: Option<u32>,
    /// How often two orchestrators are asked the same at the same instant
    #[arg(long, value_name = "N")]
    races: Option<u32>,
    /// How many operations an orchestrator sleeps through
    #[arg(long, value_name = "N")]
    zombies: Option<u32>,
    /// How often something is killed in a create, update, stop, start or delete, with a look at what is in the homes
    #[arg(long, value_name = "N")]
    kills: Option<u32>,
    /// How many occurrences of each kind of write to the disk fail, as with a full and with a broken one
    #[arg(long, value_name = "N")]
    disk: Option<u32>,
    /// Where rounds keep what is accepted: one orchestrator, or two
    #[arg(long, value_parser = ["sqlite", "postgres"], default_value = "sqlite")]
    store: String,
    /// Where rounds and kills make their machines: `fly` is its simulator with containers as machines
    #[arg(long, value_parser = ["fake", "docker", "fly"], default_value = "fake")]
    provider: String,
    /// Nothing new begins after so many seconds
    #[arg(long, default_value_t = 1800, value_parser = clap::value_parser!(u64).range(..=31_536_000))]
    seconds: u64,
    /// One JSON object: seed, counts, and each violation with its schedule
    #[arg(long)]
    json: bool,
    /// Install missing system packages with apt-get, without asking
    #[arg(long)]
    yes: bool,
}

/// The command.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut needs = system::BASIC.to_vec();
    if arguments.disk.is_some() {
        needs.push(("strace", "strace"));
    }
    if arguments.store == "postgres" || arguments.races.is_some() || arguments.zombies.is_some() {
        needs.push(("pg_lsclusters", "postgresql"));
    }
    system::ensure(&needs, arguments.yes)?;
    let tools = tools::ensure()?;
    let programs = build::broken()?;
    if arguments.provider != "fake" {
        system::ensure_docker()?;
        image::ensure(&programs, &tools.opencode, arguments.yes)?;
    }
    let seed = arguments.seed.unwrap_or_else(of_the_clock);
    ui::note(format!("seed {seed}"));
    let mut command = Command::new(programs.chaos());
    command.arg("--pilot").arg(programs.pilot()).args(["--seed", &seed.to_string()]);
    let others = [&arguments.races, &arguments.zombies, &arguments.disk, &arguments.kills]
        .iter()
        .any(|it| it.is_some());
    let rounds = match arguments.round {
        None if !others => Some(arguments.rounds.unwrap_or(20)),
        _ => arguments.rounds,
    };
    for (option, value) in [
        ("--rounds", rounds),
        ("--round", arguments.round),
        ("--races", arguments.races),
        ("--zombies", arguments.zombies),
        ("--kills", arguments.kills),
        ("--disk", arguments.disk),
    ] {
        command.args(value.map(|value| format!("{option}={value}")));
    }
    command.args(["--store", &arguments.store, "--provider", &arguments.provider]);
    command.args(["--worlds", &arguments.worlds.to_string()]);
    command.args(["--seconds", &arguments.seconds.to_string()]);
    if arguments.json {
        command.arg("--json");
    }
    let status = command.stdin(Stdio::null()).status().context("cannot start pilot-chaos")?;
    match status.code() {
        Some(0) => Ok(()),
        // It has said what.
        code => std::process::exit(code.unwrap_or(2)),
    }
}

/// Another one each time.
fn of_the_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64 % 1_000_000)
}
