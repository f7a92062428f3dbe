//! Many programs at once, large messages, many resources.

use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use pulumi_auto::{Options, Value, program};

use crate::support::world::World;
use crate::things::{nothing, properties, thing, up};

#[tokio::test]
async fn different_programs_run_at_once_in_one_process() {
    let world = World::new().await;
    let names = ["spring", "summer", "autumn", "winter"];
    let runs = names.map(|name| {
        let world = &world;
        async move {
            let stack = world.stack(name).await;
            let program = program(move |context| async move {
                assert_eq!(context.stack(), name);
                let made = context.register(thing(name, [("label", name.into())])).await?;
                Ok(properties([("address", made.output("address"))]))
            });
            (name, up(&stack, program).await.outputs, world.state(&stack))
        }
    });
    for (name, outputs, state) in join_all(runs).await {
        assert_eq!(outputs["address"], format!("address-of-{name}").into());
        let others = names.iter().filter(|other| **other != name);
        assert!(state.has(name) && others.into_iter().all(|other| !state.has(other)));
    }
}

#[tokio::test]
async fn a_message_may_be_larger_than_four_mebibytes() {
    let world = World::new().await;
    let stack = world.stack("large").await;
    let large = "x".repeat(5 << 20);
    let length = large.len();
    let program = program(move |context| {
        let large = large.clone();
        async move {
            let made = context.register(thing("a", [("label", large.into())])).await?;
            let answered = made.output("label").value.as_str().map(str::len);
            Ok(properties([("length", Value::Number(answered.unwrap_or_default() as f64).into())]))
        }
    });
    let update = up(&stack, program).await;
    assert_eq!(update.outputs["length"], Value::Number(length as f64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_resources_are_registered_side_by_side() {
    let mut world = World::new().await;
    // State is saved after every resource otherwise, all of it: that is the backend's time, not ours.
    world.workspace = world.workspace.clone().with_env("PULUMI_SKIP_CHECKPOINTS", "true");
    let stack = world.stack("thousand").await;
    let program = program(|context| async move {
        let names: Vec<String> = (0..1000).map(|number| format!("thing-{number}")).collect();
        try_join_all(names.iter().map(|name| context.register(thing(name, [])))).await?;
        Ok(nothing())
    });
    let begun = Instant::now();
    let options = Options::default().timeout(Duration::from_secs(60));
    let update = stack.up(program).with(&options).await.unwrap();
    assert_eq!(update.summary.changes.get("create"), Some(&1001), "{:?}", update.summary.changes);
    assert!(begun.elapsed() < Duration::from_secs(60));
}
