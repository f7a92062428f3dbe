//! `cargo xtask`: the developer entry. It prepares a machine, starts and stops Pilot, and runs its tests,
//! benchmarks and checks. It is the first thing a new user builds, so it stays small: it knows the other
//! crates only through `cargo` and the `pilot` program, never as libraries.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod api;
mod bench;
mod build;
mod chaos;
mod down;
mod image;
mod loopback;
mod network;
mod package;
mod paths;
mod process;
mod proto;
mod pulumi;
mod server;
mod system;
mod test;
mod tidy;
mod tools;
mod ui;
mod up;
/// The same file that the bridge reads, so that both name the same versions.
#[allow(dead_code, reason = "it has more of them than are needed here")]
#[path = "../../automation/src/versions.rs"]
mod versions;

/// Prepare, start, test and check Pilot.
///
/// New here? `cargo xtask up --detach` starts everything on this machine and prints a link;
/// `cargo xtask test` proves that it works. Nothing leaves this machine but downloads.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Up(up::Arguments),
    Down(down::Arguments),
    Test(test::Arguments),
    ApiCheck(api::Arguments),
    Bench(bench::Arguments),
    Chaos(chaos::Arguments),
    Tidy(tidy::Arguments),
    Tools(tools::Arguments),
    PackageCheck(package::Arguments),
    Pulumi(pulumi::Arguments),
    Proto(proto::Arguments),
    Image(image::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Up(arguments) => up::run(&arguments),
        Command::Down(arguments) => down::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::ApiCheck(arguments) => api::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Chaos(arguments) => chaos::run(&arguments),
        Command::Tidy(arguments) => tidy::run(&arguments),
        Command::Tools(arguments) => tools::run(&arguments),
        Command::PackageCheck(arguments) => package::run(&arguments),
        Command::Pulumi(arguments) => pulumi::run(&arguments),
        Command::Proto(arguments) => proto::run(&arguments),
        Command::Image(arguments) => image::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ui::error(&error);
            ExitCode::FAILURE
        }
    }
}
