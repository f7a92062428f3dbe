//! The engine that the worlds of this test binary run on: the CLI.

use pulumi_auto::Cli;

pub type Driver = Cli;

pub async fn open(cli: &Cli) -> Driver {
    cli.clone()
}
