//! Processes and futures that end before their time.

use std::sync::Arc;
use std::time::Duration;

use automation::options::Printed;
use automation::{CancellationToken, Error, Options, Stack, program};
use tokio::sync::mpsc;

use crate::support::world::{World, eventually};
use crate::things::{nothing, properties, thing, up};

/// Processes of the CLI whose environment names this world's folder.
fn processes(world: &World) -> Vec<i32> {
    let mark = world.folder().display().to_string();
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let read = |what| std::fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
        let (name, env) = (read("comm"), read("environ"));
        name.starts_with(b"pulumi") && String::from_utf8_lossy(&env).contains(&mark)
    })
    .collect()
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn two() -> Arc<dyn automation::Program> {
    program(|context| async move {
        let a = context.register(thing("a", [])).await?;
        context.register(thing("b", [("label", a.output("address"))])).await?;
        Ok(nothing())
    })
}

fn locks(world: &World, stack: &Stack) -> usize {
    let folder = format!("state/.pulumi/locks/organization/shop/{}", stack.name());
    let entries = std::fs::read_dir(world.folder().join(folder)).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json")).count()
}

#[tokio::test]
async fn a_cli_that_is_killed_is_an_error_and_the_next_run_takes_over_its_lock() {
    let world = World::new().await;
    let stack = world.stack("killed").await;
    world.cloud.hold("b");
    let running = {
        let stack = stack.clone();
        tokio::spawn(async move { stack.up(two(), &Options::default()).await })
    };
    world.cloud.until("create", "b").await;
    assert_eq!(locks(&world, &stack), 1);
    processes(&world).into_iter().for_each(kill);
    let ended = tokio::time::timeout(Duration::from_secs(30), running).await;
    let error = ended.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, Error::Interrupted { signal: 9 }), "{error:?}");
    assert_eq!(locks(&world, &stack), 1, "nobody was left to remove it");
    world.cloud.release("b");

    let update = up(&stack, two()).await;
    assert_eq!(update.summary.changes["same"], 2, "the stack and a are known");
    assert_eq!(update.summary.changes["create"], 1);
    assert_eq!(locks(&world, &stack), 0);
    let state = world.state(&stack);
    assert!(state.has("a") && state.has("b"));
}

#[tokio::test]
async fn a_dropped_operation_ends_in_order_and_keeps_what_was_being_made() {
    let world = World::new().await;
    let stack = world.stack("dropped").await;
    world.cloud.hold("b");
    let running = {
        let stack = stack.clone();
        tokio::spawn(async move { stack.up(two(), &Options::default()).await })
    };
    world.cloud.until("create", "b").await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    // The engine waits for the create, because what it makes must not be lost.
    world.cloud.release("b");
    eventually("the CLI has ended", || processes(&world).is_empty()).await;
    assert_eq!(locks(&world, &stack), 0);
    assert!(world.state(&stack).has("a"));
    up(&stack, two()).await;
    assert_eq!(world.state(&stack).names().iter().filter(|name| **name == "b").count(), 1);
}

#[tokio::test]
async fn a_listener_that_never_listens_holds_nothing_up() {
    let world = World::new().await;
    let stack = world.stack("deaf").await;
    let (events, deaf) = mpsc::unbounded_channel();
    let (output, gone) = mpsc::unbounded_channel();
    drop(gone);
    let options = Options { events: Some(events), output: Some(output), ..Options::default() };
    let crowd = program(|context| async move {
        let things = (0..100).map(|number| context.register(thing(&format!("t{number}"), [])));
        futures_util::future::try_join_all(things).await?;
        Ok(nothing())
    });
    let update = stack.up(crowd, &options).await.unwrap();
    assert_eq!(update.summary.changes["create"], 101);
    assert!(deaf.len() > 200, "they were all queued");
}

#[tokio::test]
async fn what_the_engine_prints_arrives_while_it_works() {
    let world = World::new().await;
    let stack = world.stack("talks").await;
    world.cloud.hold("b");
    let (output, mut printed) = mpsc::unbounded_channel();
    let mut options = Options { output: Some(output), ..Options::default() };
    options.display.progress = true;
    let running = {
        let stack = stack.clone();
        tokio::spawn(async move { stack.up(two(), &options).await })
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
    let options = Options { cancel: cancel.clone(), ..Options::default() };
    let slow = program(|context| async move {
        context.register(thing("slow", [("slow", 1500.0.into())])).await?;
        Ok(properties([("never", "reached".into())]))
    });
    let running = {
        let stack = stack.clone();
        tokio::spawn(async move { stack.up(slow, &options).await })
    };
    world.cloud.until("create", "slow").await;
    cancel.cancel();
    let error = running.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Canceled), "{error:?}");
    assert!(world.state(&stack).has("slow"));
    assert_eq!(locks(&world, &stack), 0);
}
