//! The live class itself, with the simulator as the vendor: what it asks passes there, its budget ends it, and it leaves nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

#[path = "support/asks.rs"]
mod asks;
#[path = "support/world.rs"]
mod world;

use std::time::Duration;

use provider_api::conformance::live::{Limits, Live, run};
use provider_api::conformance::{Backdoor as _, eventually};
use world::{World, stack_in};

/// An organisation with the installation of live runs in it.
async fn organisation() -> World {
    let mut world = world::new().await;
    world.installation = Live::installation();
    world
}

fn left(world: &World) -> [usize; 3] {
    [world.sim.apps().len(), world.sim.volumes().len(), world.sim.machines().len()]
}

async fn ask(world: &World, limits: Limits) {
    let boot = world.boot.clone();
    run(world.provider(), limits, |live| async move { asks::all(&live, &boot).await }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_passes_at_the_simulator_and_nothing_is_left() {
    let world = organisation().await;
    ask(&world, Limits::USUAL).await;
    assert_eq!(left(&world), [0; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_used_up_ends_it_and_nothing_is_left_also_of_a_run_that_was_killed() {
    let world = organisation().await;
    // As a run leaves it that is killed.
    stack_in(&world, &world.provider(), "fra").up().await;
    for (limits, words) in [
        (Limits { runtimes: 1, ..Limits::USUAL }, "the budget has 1 runtimes"),
        (Limits { calls: 3, ..Limits::USUAL }, "the budget has 3 calls"),
        (Limits { time: Duration::from_millis(30), ..Limits::USUAL }, "the budget has 30ms"),
    ] {
        let boot = world.boot.clone();
        let asked = run(world.provider(), limits, |live| async move { asks::all(&live, &boot).await });
        let failed = tokio::spawn(asked).await.expect_err("the budget is too small").into_panic();
        let said = failed.downcast_ref::<String>().expect("words");
        assert!(said.contains(words), "{said}");
        assert_eq!(left(&world), [0; 3], "{words}");
    }
}

/// Whether Fly does so is not known: then what it wrote below the volume's path is under the volume.
#[tokio::test(flavor = "multi_thread")]
async fn boot_files_arrive_also_where_files_are_written_before_the_volume_is_mounted() {
    let world = organisation().await;
    world.sim.hide_files_below_mounts(true);
    let mut stack = stack_in(&world, &world.provider(), "fra");
    stack.up().await;
    let (runtime, path) = (stack.runtime(), provider_api::conformance::CanaryBootFiles::PATH);
    let lifecycle = stack.provider.lifecycle();
    for _ in 0..2 {
        let canary = Some(world.boot.canary());
        eventually("the boot file is in the home", async || world.read_home(&runtime, path).await == canary)
            .await;
        lifecycle.stop(&runtime, Duration::from_secs(5)).await.unwrap();
        world.boot.change();
        lifecycle.start(&runtime).await.unwrap();
    }
    ask(&world, Limits::USUAL).await;
    assert_eq!(left(&world), [0; 3]);
}
