//! Operations that end before their time, and those who listen to them.

use std::sync::Arc;
use std::time::Duration;

use pulumi_auto::options::Printed;
use pulumi_auto::{CancellationToken, Error, Options, Stack, program};
use tokio::sync::mpsc;

use crate::support::world::World;
use crate::things::{nothing, properties, thing};

pub fn two() -> Arc<dyn pulumi_auto::Program> {
    program(|context| async move {
        let a = context.register(thing("a", [])).await?;
        context.register(thing("b", [("label", a.output("address"))])).await?;
        Ok(nothing())
    })
}

pub fn locks(world: &World, stack: &Stack) -> usize {
    let folder = format!("state/.pulumi/locks/organization/shop/{}", stack.name());
    let entries = std::fs::read_dir(world.folder().join(folder)).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json")).count()
}

#[tokio::test]
async fn a_listener_that_never_listens_holds_nothing_up() {
    let world = World::new().await;
    let stack = world.stack("deaf").await;
    let (events, mut deaf) = mpsc::channel(16);
    let (output, gone) = mpsc::channel(1);
    drop(gone);
    let options = Options::default().events(events).output(output);
    let crowd = program(|context| async move {
        let things = (0..100).map(|number| context.register(thing(&format!("t{number}"), [])));
        futures_util::future::try_join_all(things).await?;
        Ok(nothing())
    });
    let update = stack.up(crowd).with(&options).await.unwrap();
    assert_eq!(update.summary.changes["create"], 101);
    let kept: Vec<i64> = std::iter::from_fn(|| deaf.try_recv().ok()).map(|event| event.sequence).collect();
    assert_eq!(kept.len(), 16, "no more than the queue holds are kept");
    assert!(kept.windows(2).all(|pair| pair[1] == pair[0] + 1), "the first of them, without a gap: {kept:?}");
}

#[tokio::test]
async fn what_the_engine_prints_arrives_while_it_works() {
    let world = World::new().await;
    let stack = world.stack("talks").await;
    world.cloud.hold("b");
    let (output, mut printed) = mpsc::channel(4096);
    let mut options = Options::default().output(output);
    options.display.progress = true;
    let running = {
        let stack = stack.clone();
        tokio::spawn(async move { stack.up(two()).with(&options).await })
    };
    let mut seen = String::new();
    while !seen.contains("cloud:test:Thing a") {
        match printed.recv().await.unwrap() {
            Printed::Stdout(text) => seen.push_str(&text),
            Printed::Stderr(text) => panic!("{text}"),
        }
    }
    assert!(!running.is_finished());
    world.cloud.release("b");
    let update = running.await.unwrap().unwrap();
    assert!(update.summary.stdout.contains("Resources:"), "{}", update.summary.stdout);
    assert_eq!(update.summary.permalink(), None);
}

#[tokio::test]
async fn cancelling_lets_a_create_end_and_records_it() {
    let world = World::new().await;
    let stack = world.stack("cancelled").await;
    let cancel = CancellationToken::new();
    let options = Options::default().cancel(cancel.clone());
    let slow = program(|context| async move {
        context.register(thing("slow", [("slow", 1500.0.into())])).await?;
        Ok(properties([("never", "reached".into())]))
    });
    let running = {
        let stack = stack.clone();
        tokio::spawn(async move { stack.up(slow).with(&options).await })
    };
    world.cloud.until("create", "slow").await;
    cancel.cancel();
    let error = running.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Canceled), "{error:?}");
    assert!(world.state(&stack).has("slow"));
    assert_eq!(locks(&world, &stack), 0);
}

#[tokio::test]
async fn an_operation_that_takes_too_long_ends_in_order_and_keeps_what_was_being_made() {
    let world = World::new().await;
    let stack = world.stack("late").await;
    let limit = Duration::from_secs(3);
    let options = Options::default().timeout(limit);
    let slow = program(|context| async move {
        context.register(thing("slow", [("slow", 4000.0.into())])).await?;
        context.register(thing("after", [])).await?;
        Ok(nothing())
    });
    let error = stack.up(slow).with(&options).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { timeout: told } if told == limit), "{error:?}");
    let state = world.state(&stack);
    assert_eq!((state.has("slow"), state.has("after")), (true, false));
    assert_eq!(locks(&world, &stack), 0);
}

#[tokio::test]
async fn a_lock_of_another_machine_is_waited_for_as_long_as_it_may_take() {
    let world = World::new().await;
    let stack = world.stack("locked").await;
    let folder = world.folder().join("state/.pulumi/locks/organization/shop/locked");
    std::fs::create_dir_all(&folder).unwrap();
    let lock = folder.join("x.json");
    std::fs::write(&lock, r#"{"pid": 1, "username": "me", "hostname": "elsewhere"}"#).unwrap();
    let timeout = Duration::from_millis(200);
    let impatient = world.workspace.clone().with_lock_timeout(timeout).stack("locked");
    let options = Options::default().lock_timeout(timeout);
    for waiting in [impatient.remove().await, stack.up(two()).with(&options).await.map(drop)] {
        let Err(Error::ConcurrentUpdate { owner, .. }) = &waiting else { panic!("{waiting:?}") };
        assert!(owner.contains("elsewhere"), "{owner}");
    }
    let patient = Options::default().lock_timeout(Duration::from_secs(60));
    let running = {
        let stack = stack.clone();
        tokio::spawn(async move { stack.up(two()).with(&patient).await })
    };
    std::fs::remove_file(lock).unwrap();
    assert_eq!(running.await.unwrap().unwrap().summary.changes["create"], 3);
}

#[tokio::test]
async fn a_lock_that_was_cut_off_in_its_making_holds_nobody_up() {
    let world = World::new().await;
    let stack = world.stack("unfinished").await;
    let folder = world.folder().join("state/.pulumi/locks/organization/shop/unfinished");
    std::fs::create_dir_all(&folder).unwrap();
    // What a kill leaves between the two halves of a write.
    std::fs::write(folder.join("x.json.18f.tmp"), "").unwrap();
    stack.up(two()).await.unwrap();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
}
