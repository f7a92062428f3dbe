//! The engine that the worlds of this test binary run on: the CLI.

use automation::Cli;

pub async fn open(cli: &Cli) -> Cli {
    cli.clone()
}
