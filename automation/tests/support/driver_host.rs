//! The engine that the worlds of this test binary run on: the host, with processes of its own for each.

use pulumi_auto::{Cli, Host};

use super::tools::pilot_engine;

pub type Driver = Host;

pub async fn open(cli: &Cli) -> Driver {
    static HOST: tokio::sync::OnceCell<Host> = tokio::sync::OnceCell::const_new();
    let open =
        async || Host::open(pilot_engine()).await.unwrap_or_else(|e| panic!("{e}; run `cargo xtask tools`"));
    HOST.get_or_init(open).await.clone().with_cli(cli.clone())
}
