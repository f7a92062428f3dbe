//! `cargo xtask pulumi`: which Pulumi everything is built for.

use anyhow::Result;

mod pins;
mod upgrade;

/// Say which Pulumi everything is built for, and move it to another.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Upgrade(upgrade::Arguments),
}

/// The command.
pub fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Command::Upgrade(upgrade) => upgrade::run(upgrade),
    }
}
