//! The table of flags against what the CLI itself says.

use pulumi_auto::{Command, Engine, Operation, OperationKind, Source};

use crate::flags::all;
use crate::support::world::World;

#[tokio::test]
async fn the_cli_knows_every_flag_that_the_table_gives_to_its_commands() {
    let world = World::new().await;
    for kind in [
        OperationKind::Up,
        OperationKind::Preview,
        OperationKind::Refresh,
        OperationKind::Destroy,
        OperationKind::Import,
    ] {
        // With `--help` the flags are parsed and nothing is done.
        let options = all(kind);
        let mut operation = Operation::new(kind, "s", Source::Project, &options);
        operation.own = Command::default().flag("help", true);
        let help = world.cli.operate(world.workspace.place(), &operation).await.unwrap();
        assert!(help.stdout.contains("Usage:"), "{}", help.stdout);
    }
}
