//! The host does it without the CLI, and gives to the CLI only what it cannot do.

use pulumi_auto::{ConfigOptions, ConfigValue, Error, Host, Value, program};

use crate::support::service::{ORGANIZATION, TOKEN};
use crate::support::tools::pilot_engine;
use crate::support::world::{PROJECT, World};
use crate::things::{destroy, nothing, properties, thing, up};

/// A host that has no CLI: whatever is not its own fails.
async fn alone(world: &World) -> pulumi_auto::Workspace {
    world.on(Host::open(pilot_engine()).await.unwrap())
}

#[tokio::test]
async fn a_whole_life_of_a_stack_starts_no_cli() {
    let world = World::new().await;
    let workspace = alone(&world).await;
    let (stack, plain) = (workspace.create_stack("life").await.unwrap(), ConfigOptions::default());
    let who = workspace.whoami().await.unwrap();
    assert_eq!((who.user.as_str(), who.organizations.contains(&ORGANIZATION.to_owned())), ("ada", true));
    stack.select().await.unwrap();
    stack.set_config("pin", ConfigValue::secret("canary-pin"), &plain).await.unwrap();
    assert_eq!(stack.get_config("pin", &plain).await.unwrap().unwrap().value, "canary-pin");
    let shop = || {
        program(|context| async move {
            let token = pulumi_auto::Input::from("canary-output").into_secret();
            let a = context.register(thing("a", [("token", token)])).await?;
            Ok(properties([("token", a.output("token"))]))
        })
    };
    assert_eq!(stack.preview(shop()).await.unwrap().changes["create"], 2);
    up(&stack, shop()).await;
    stack.refresh(shop()).await.unwrap();
    assert_eq!(stack.outputs().await.unwrap()["token"], Value::secret("canary-output"));
    stack.import(&stack.export().await.unwrap()).await.unwrap();
    assert!(up(&stack, shop()).await.summary.is_unchanged());
    let stack = stack.rename("renamed").await.unwrap();
    assert!(up(&stack, shop()).await.summary.is_unchanged());
    assert_eq!(stack.get_config("pin", &plain).await.unwrap().unwrap().value, "canary-pin");
    destroy(&stack).await;
    let kinds: Vec<String> =
        stack.history(&Default::default()).await.unwrap().into_iter().map(|i| i.kind).collect();
    assert_eq!(kinds, ["destroy", "update", "update", "import", "refresh", "update"]);
    let updates = world.keep.0.updates(PROJECT, "renamed");
    let told =
        |update: &&(String, String, usize)| update.1 == "succeeded" && (update.0 == "import" || update.2 > 2);
    assert_eq!(updates.iter().filter(told).count(), 6, "{updates:?}");
    assert!(!world.state_mentions("canary-pin") && !world.state_mentions("canary-output"));
    stack.remove().await.unwrap();
    assert!(workspace.stacks(true).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_list_in_pages_is_listed_whole() {
    let world = World::new().await;
    let workspace = alone(&world).await;
    let names: Vec<String> = (0..7).map(|number| format!("stack-{number}")).collect();
    for name in &names {
        workspace.create_stack(name).await.unwrap();
    }
    let mut listed: Vec<_> =
        workspace.stacks(false).await.unwrap().into_iter().map(|stack| stack.name).collect();
    listed.sort();
    assert_eq!(listed, names);
}

#[tokio::test]
async fn a_resource_that_fails_makes_the_update_a_failed_one_with_its_events() {
    let world = World::new().await;
    let stack = world.stack("failing").await;
    let broken = program(|context| async move {
        context.register(thing("a", [])).await?;
        context.register(thing("b", [("fail", "no quota".into())])).await?;
        Ok(nothing())
    });
    let error = stack.up(broken).await.unwrap_err();
    assert!(matches!(error, Error::UpdateFailed { .. }), "{error:?}");
    let updates = world.keep.0.updates(PROJECT, "failing");
    assert_eq!((updates[0].0.as_str(), updates[0].1.as_str()), ("update", "failed"));
    assert!(updates[0].2 > 2, "{updates:?}");
    assert!(world.state(&stack).has("a") && !world.state(&stack).has("b"));
}

#[tokio::test]
async fn what_refers_to_environments_is_given_to_the_cli_before_anything_has_happened() {
    let world = World::new().await;
    let workspace = alone(&world).await;
    let stack = workspace.create_stack("esc").await.unwrap();
    let settings = workspace.directory().join("Pulumi.esc.yaml");
    std::fs::write(settings, "environment:\n  - shared/base\n").unwrap();
    let empty = program(|_| async { Ok(nothing()) });
    let error = stack.up(empty).await.unwrap_err();
    assert!(matches!(&error, Error::NeedsCli { command, .. } if command == "up"), "{error:?}");
    let error = stack.get_all_config(&ConfigOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::NeedsCli { .. }), "{error:?}");
    assert_eq!(world.keep.0.updates(PROJECT, "esc"), []);
    let without = workspace.clone().without_env("PULUMI_ACCESS_TOKEN");
    let error = without.stacks(false).await.unwrap_err();
    assert!(matches!(error, Error::NeedsCli { .. }), "whose login is the CLI's: {error:?}");
    assert!(!TOKEN.is_empty());
}
