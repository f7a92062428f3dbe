//! Runs that share a process do not see each other.

use std::time::Duration;

use pulumi_auto::{
    CancellationToken, ConfigOptions, ConfigValue, Error, Options, Outputs, Program, ResourceArgs,
    ResourceOptions, program,
};
use std::sync::Arc;

use crate::support::world::{World, eventually};
use crate::things::{nothing, properties, thing, up, with};

fn one(name: &'static str) -> Arc<dyn Program> {
    program(move |context| async move {
        context.register(thing(name, [])).await?;
        Ok(nothing())
    })
}

/// A thing `NAME` of a provider `NAME` that is configured with the region `NAME`.
fn of_region(name: &'static str) -> Arc<dyn Program> {
    program(move |context| async move {
        let provider = ResourceArgs {
            resource_type: "pulumi:providers:cloud".to_owned(),
            name: format!("in-{name}"),
            inputs: properties([("region", name.into())]),
            ..Default::default()
        };
        let provider = context.register(provider).await?.as_provider();
        context.register(with(name, [], ResourceOptions::default().provider(provider))).await?;
        Ok(nothing())
    })
}

#[tokio::test]
async fn providers_that_are_configured_differently_stay_apart() {
    let world = World::new().await;
    let (east, west) = (world.stack("east").await, world.stack("west").await);
    world.cloud.hold("east");
    world.cloud.hold("west");
    let running = [(east, "east"), (west, "west")]
        .map(|(stack, name)| tokio::spawn(async move { up(&stack, of_region(name)).await }));
    for name in ["east", "west"] {
        world.cloud.until("create", name).await;
    }
    world.cloud.release("east");
    world.cloud.release("west");
    for up in running {
        up.await.unwrap();
    }
    assert_eq!(world.engine.processes().len(), 1);
    for name in ["east", "west"] {
        let configured = world.cloud.last("configure", &format!("in-{name}"));
        assert_eq!(configured.inputs["region"], name.into());
        assert_eq!(world.cloud.last("create", name).connection, configured.connection, "{name}");
    }
    let connection = |name: &str| world.cloud.last("create", name).connection;
    assert_ne!(connection("east"), connection("west"));
}

#[tokio::test]
async fn a_wrong_passphrase_is_refused_also_where_the_right_one_was_used() {
    let world = World::new().await;
    let (stack, plain) = (world.stack("locked").await, ConfigOptions::default());
    stack.set_config("pin", ConfigValue::secret("hush"), &plain).await.unwrap();
    up(&stack, one("a")).await;
    let wrong = world.folder().join("wrong");
    std::fs::write(&wrong, "wrong").unwrap();
    let other = world.workspace.clone().with_passphrase_file(wrong).stack("locked");
    for failed in [
        other.get_config("pin", &plain).await.map(drop),
        other.up(one("a")).await.map(drop),
        other.set_config("pin", ConfigValue::secret("x"), &plain).await,
    ] {
        assert!(matches!(&failed, Err(Error::Secrets { .. })), "{failed:?}");
    }
    assert_eq!(stack.get_config("pin", &plain).await.unwrap(), Some(ConfigValue::secret("hush")));
    assert!(up(&stack, one("a")).await.summary.is_unchanged());
    assert_eq!(world.engine.processes().len(), 1);
}

#[tokio::test]
async fn a_cancelled_run_leaves_the_others_alone() {
    let world = World::new().await;
    let (ended, kept) = (world.stack("ended").await, world.stack("kept").await);
    world.cloud.hold("x");
    world.cloud.hold("y");
    let cancel = CancellationToken::new();
    let options = Options::default().cancel(cancel.clone());
    let first = tokio::spawn(async move { ended.up(one("x")).with(&options).await.map(|_| ended) });
    let second = tokio::spawn(async move { up(&kept, one("y")).await });
    world.cloud.until("create", "x").await;
    world.cloud.until("create", "y").await;
    cancel.cancel();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!second.is_finished());
    world.cloud.release("x");
    let error = first.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Canceled), "{error:?}");
    assert!(!second.is_finished());
    world.cloud.release("y");
    assert_eq!(second.await.unwrap().summary.changes["create"], 2);
    assert_eq!(world.cloud.ids(), ["x-1", "y-1"]);
}

#[tokio::test]
async fn a_dropped_run_ends_in_order_and_frees_its_stack() {
    let world = World::new().await;
    let stack = world.stack("dropped").await;
    world.cloud.hold("x");
    let running = {
        let stack = stack.clone();
        tokio::spawn(async move { stack.up(one("x")).await })
    };
    world.cloud.until("create", "x").await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    // The engine waits for the create, because what it makes must not be lost.
    world.cloud.release("x");
    eventually("what was made is recorded", || world.state(&stack).has("x")).await;
    let patient = Options::default().lock_timeout(Duration::from_secs(30));
    assert!(stack.up(one("x")).with(&patient).await.unwrap().summary.changes["same"] >= 2);
    assert_eq!(world.cloud.ids(), ["x-1"]);
    assert_eq!(world.engine.processes().len(), 1);
}

#[tokio::test]
async fn fifty_stacks_at_once_keep_to_themselves() {
    let world = World::new().await;
    let mut running = tokio::task::JoinSet::new();
    for number in 0..50 {
        let workspace = world.workspace.clone();
        running.spawn(async move {
            let name = format!("many-{number}");
            let stack = workspace.create_stack(&name).await.unwrap();
            let plain = ConfigOptions::default();
            stack.set_config("number", ConfigValue::plain(number.to_string()), &plain).await.unwrap();
            let own = program(move |context| async move {
                assert_eq!(context.stack(), format!("many-{number}"));
                let label = context.require_config("number")?.to_owned();
                let made = context.register(thing("a", [("label", label.into())])).await?;
                Ok(Outputs::from([("label".to_owned(), made.output("label"))]))
            });
            let options = Options::default().timeout(Duration::from_secs(300));
            let update = stack.up(own).with(&options).await.unwrap();
            assert_eq!(update.outputs["label"], number.to_string().into());
            assert_eq!(update.summary.changes["create"], 2);
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    assert_eq!(world.engine.processes().len(), 1);
    assert_eq!(world.workspace.stacks(false).await.unwrap().len(), 50);
    assert_eq!(world.cloud.ids().len(), 50);
}

#[tokio::test]
async fn two_hosts_that_set_configuration_at_the_same_time_keep_what_both_have_set() {
    let world = World::new().await;
    let first = world.stack("shared").await;
    // A copy with a setting of its own has processes of its own.
    let other = world.engine.clone().with_runs(4);
    let second = world.on(other.clone()).stack("shared");
    let options = ConfigOptions::default();
    // Both are up when it begins.
    for stack in [&first, &second] {
        assert!(stack.get_all_config(&options).await.unwrap().is_empty());
    }
    let mut setting = tokio::task::JoinSet::new();
    for at in 0..20 {
        for (who, stack) in [("first", first.clone()), ("second", second.clone())] {
            let options = options.clone();
            setting.spawn(
                async move { stack.set_config(&format!("{who}{at}"), at.to_string(), &options).await },
            );
        }
    }
    while let Some(set) = setting.join_next().await {
        set.unwrap().unwrap();
    }
    assert!(world.engine.processes() != other.processes() && !other.processes().is_empty());
    assert_eq!(first.get_all_config(&options).await.unwrap().len(), 40);
}
