//! The engine that the worlds of this test binary run on: the CLI.

use automation::Cli;

pub type Driver = Cli;

pub async fn open(cli: &Cli) -> Driver {
    cli.clone()
}
