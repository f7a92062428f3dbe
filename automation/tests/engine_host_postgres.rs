//! Stacks in a database, on the engine host and on the CLI: each goes on where the other has ended.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pulumi_auto::{Backend, Cli, Host, Input, Outputs, Workspace, program};

#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/tools.rs"]
mod tools;

use postgres::Postgres;

#[tokio::test]
async fn a_stack_in_a_database_is_served_by_the_host_and_read_by_the_cli() {
    let server = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let cli = Cli::open(tools::pulumi()).await.expect("run `cargo xtask tools`");
    // Without a CLI, so that nothing can be given to it.
    let host = Host::open(tools::pilot_engine()).await.expect("run `cargo xtask tools`");
    let at = |name: &str| folder.path().join(name);
    let open = |engine: std::sync::Arc<dyn pulumi_auto::Engine>| {
        let backend = Backend::Url(server.url());
        Workspace::inline(engine, "shop", at("project"), at("home"), backend).unwrap().with_empty_passphrase()
    };
    let says = |text: &'static str| {
        program(move |_| async move { Ok(Outputs::from([("said".to_owned(), Input::from(text))])) })
    };
    let (by_host, by_cli) =
        (open(std::sync::Arc::new(host)).stack("dev"), open(std::sync::Arc::new(cli)).stack("dev"));
    by_host.create().await.unwrap();
    by_host.up(says("one")).await.unwrap();
    assert_eq!(by_cli.outputs().await.unwrap()["said"], "one".into());
    by_cli.up(says("two")).await.unwrap();
    assert_eq!(by_host.outputs().await.unwrap()["said"], "two".into());
    assert!(by_host.up(says("two")).await.unwrap().summary.is_unchanged());
    by_host.destroy(says("two")).await.unwrap();
    by_host.remove().await.unwrap();
    assert!(by_cli.workspace().stacks(true).await.unwrap().is_empty());
}
