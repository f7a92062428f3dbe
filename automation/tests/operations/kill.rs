//! A process of the CLI that ends before its time, and one that nobody waits for any more.

use std::time::Duration;

use pulumi_auto::Error;

use crate::death::{locks, two};
use crate::support::world::{World, eventually};
use crate::things::up;

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

#[tokio::test]
async fn a_cli_that_is_killed_is_an_error_and_the_next_run_takes_over_its_lock() {
    let world = World::new().await;
    let stack = world.stack("killed").await;
    world.cloud.hold("b");
    let running = {
        let stack = stack.clone();
        tokio::spawn(async move { stack.up(two()).await })
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
        tokio::spawn(async move { stack.up(two()).await })
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
