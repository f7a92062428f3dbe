//! The plain CLI and the host work on one stack in turns.

use std::sync::Arc;

use pulumi_auto::{ConfigOptions, ConfigValue, Options, Program, Value, program};

use crate::support::normal::normalized;
use crate::support::world::World;
use crate::things::{destroy, properties, thing, up};

fn shop() -> Arc<dyn Program> {
    program(|context| async move {
        let a =
            context.register(thing("a", [("token", pulumi_auto::Input::from("hush").into_secret())])).await?;
        context.register(thing("b", [("label", a.output("address"))])).await?;
        Ok(properties([("token", a.output("token"))]))
    })
}

#[tokio::test]
async fn neither_finds_a_change_after_the_other() {
    let world = World::new().await;
    let by_host = world.stack("turns").await;
    let by_cli = world.on(world.cli.clone()).stack("turns");
    assert_eq!(up(&by_host, shop()).await.summary.changes["create"], 3);
    let strict = Options::default().expect_no_changes(true);
    assert!(by_cli.up(shop()).with(&strict).await.unwrap().summary.is_unchanged());
    assert!(by_host.up(shop()).with(&strict).await.unwrap().summary.is_unchanged());
    by_cli.refresh(shop()).with(&strict).await.unwrap();
    by_host.refresh(shop()).with(&strict).await.unwrap();
    let token = Value::secret("hush");
    assert_eq!(
        (&by_cli.outputs().await.unwrap()["token"], &by_host.outputs().await.unwrap()["token"]),
        (&token, &token)
    );
    destroy(&by_cli).await;
    assert_eq!(up(&by_host, shop()).await.summary.changes["create"], 3);
    destroy(&by_host).await;
    by_cli.remove().await.unwrap();
    assert!(world.workspace.stacks(false).await.unwrap().is_empty());
    assert_eq!(world.cloud.ids(), Vec::<String>::new());
}

#[tokio::test]
async fn a_state_goes_out_of_one_and_into_the_other() {
    let world = World::new().await;
    let by_host = world.stack("moved").await;
    let by_cli = world.on(world.cli.clone()).stack("moved");
    up(&by_host, shop()).await;
    let (ours, theirs) = (by_host.export().await.unwrap(), by_cli.export().await.unwrap());
    assert_eq!(normalized(ours.resources()), normalized(theirs.resources()));
    by_cli.import(&ours).await.unwrap();
    assert!(up(&by_host, shop()).await.summary.is_unchanged());
    by_host.import(&theirs).await.unwrap();
    assert!(up(&by_cli, shop()).await.summary.is_unchanged());
}

#[tokio::test]
async fn settings_secrets_tags_and_history_are_the_same_for_both() {
    let world = World::new().await;
    let (by_host, plain) = (world.stack("told").await, ConfigOptions::default());
    let by_cli = world.on(world.cli.clone()).stack("told");
    by_host.set_config("pin", ConfigValue::secret("1234"), &plain).await.unwrap();
    by_cli.set_config("tan", ConfigValue::secret("5678"), &plain).await.unwrap();
    by_host.set_tag("team", "red").await.unwrap();
    up(&by_host, shop()).await;
    up(&by_cli, shop()).await;
    for stack in [&by_host, &by_cli] {
        let all = stack.get_all_config(&plain).await.unwrap();
        assert_eq!((all["shop:pin"].value.as_str(), all["shop:tan"].value.as_str()), ("1234", "5678"));
        assert_eq!(stack.tag("team").await.unwrap().as_deref(), Some("red"));
        assert_eq!(stack.history(&Default::default()).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn what_only_the_cli_does_is_done_by_the_cli() {
    let world = World::new().await;
    assert_eq!(world.workspace.plugins(false).await.unwrap().len(), 0);
    let stack = world.workspace.create_stack("dev").await.unwrap();
    stack.set_tag("team", "red").await.unwrap();
    assert_eq!(stack.tags().await.unwrap()["team"], "red");
}
