//! The program that uses the provider is killed at many moments of a create and of a delete. What
//! comes after finds one instance or none, and can always finish.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/world.rs"]
mod world;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use provider_api::RunStatus;
use provider_api::conformance::{Fixture, Stack, run};
use provider_local::conformance::labelled;
use world::{leaders, world};

const MOMENTS: u32 = 12;
const ORDER: &str = "PILOT_TEST_ORDER";

/// Not a test of its own: the tests below run this program again with an order for this one, to have
/// something to kill.
#[tokio::test(flavor = "multi_thread")]
async fn carries_out_an_order_in_a_program_of_its_own() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let (verb, world, runtime) = world().ordered(&order);
    let provider: std::sync::Arc<dyn provider_api::Provider> = world.provider();
    let installation = world.installation.clone();
    let fixture = world.fixture();
    let mut stack = fixture.stack_of(&provider, &installation, runtime);
    stack.up().await;
    if verb == "delete" {
        fs::write(std::env::var("PILOT_TEST_READY").unwrap(), "").unwrap();
        stack.down().await;
    }
}

fn order(verb: &str, world_order: &str, stack: &Stack, ready: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "carries_out_an_order_in_a_program_of_its_own"])
        .env(ORDER, format!("{verb} {} {world_order}", stack.spec.runtime_id))
        .env("PILOT_TEST_READY", ready)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

async fn nothing_is_left(fixture: &Fixture, stack: &Stack, moment: Duration) {
    let runtime = stack.runtime();
    let owned = fixture.provider.inventory().unwrap().list_installation(&fixture.installation).await.unwrap();
    assert_eq!(owned, [], "killed after {moment:?}");
    assert_eq!(fixture.backdoor.objects(&runtime).await, Vec::<String>::new(), "killed after {moment:?}");
    assert_eq!(labelled(&runtime.installation, None), [], "killed after {moment:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_outlives_the_program_that_made_it() {
    let world = world();
    let (text, ready) = (world.order(), world.root.path().join("ready"));
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        assert!(order("create", &text, &stack, &ready).wait().unwrap().success());
        let made = leaders(&stack.runtime());
        assert_eq!(made.len(), 1);
        stack.up().await;
        assert_eq!(leaders(&stack.runtime()), made, "it is adopted, not made again");
        stack.down().await;
        nothing_is_left(&fixture, &stack, Duration::ZERO).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_was_killed_at_any_moment_can_be_repeated() {
    let world = world();
    let (text, ready) = (world.order(), world.root.path().join("ready"));
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        let begun = Instant::now();
        order("create", &text, &stack, &ready).wait().unwrap();
        let whole = begun.elapsed();
        stack.up().await;
        stack.down().await;
        for number in 0..MOMENTS {
            let moment = whole * number / MOMENTS;
            let mut stack = fixture.stack();
            let mut victim = order("create", &text, &stack, &ready);
            tokio::time::sleep(moment).await;
            victim.kill().unwrap();
            victim.wait().unwrap();
            stack.up().await;
            let status = fixture.provider.lifecycle().status(&stack.runtime()).await.unwrap();
            assert_eq!(status, RunStatus::Running, "killed after {moment:?}");
            assert_eq!(leaders(&stack.runtime()).len(), 1, "killed after {moment:?}");
            stack.down().await;
            nothing_is_left(&fixture, &stack, moment).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_was_killed_at_any_moment_can_be_repeated() {
    let world = world();
    let (text, ready) = (world.order(), world.root.path().join("ready"));
    run(world.fixture(), |fixture| async move {
        for number in 0..MOMENTS {
            let moment = Duration::from_millis(5) * number;
            let mut stack = fixture.stack();
            stack.up().await;
            let _ = fs::remove_file(&ready);
            let mut victim = order("delete", &text, &stack, &ready);
            provider_api::conformance::eventually("the delete begins", async || ready.exists()).await;
            tokio::time::sleep(moment).await;
            victim.kill().unwrap();
            victim.wait().unwrap();
            stack.down().await;
            nothing_is_left(&fixture, &stack, moment).await;
        }
    })
    .await;
}
