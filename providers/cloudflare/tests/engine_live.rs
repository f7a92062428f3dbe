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

use std::sync::Arc;
use std::time::Duration;

use provider_api::Provider;
use provider_api::conformance::live::{Limits, Live, run};
use provider_api::conformance::{Backdoor as _, Stack};
use sim_cloudflare::Simulator;
use world::World;

/// An account that does everything for the first time, and the installation of live runs in it.
async fn account(is_keeping: bool) -> World {
    let mut world = world::with(|options| {
        (options.name_lag_ms, options.provisioning_ms, options.rollout_ms) = (1000, 3000, 3000)
    })
    .await;
    world.installation = Live::installation();
    world.timeout = Duration::from_secs(30);
    if is_keeping { world.keeping() } else { world }
}

async fn left(world: &World) -> Vec<String> {
    let objects = world.sim.lock().await.as_ref().map(Simulator::objects).unwrap();
    let kinds = ["script", "durable_object_namespace", "container_application", "container_instance"];
    let is_left = |kind: &&str| objects[kind].as_object().is_some_and(|all| !all.is_empty());
    kinds.into_iter().filter(is_left).map(str::to_owned).collect()
}

async fn end(world: World) {
    world.sweep(&Live::installation()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_passes_at_the_simulator_and_nothing_is_left() {
    let world = account(false).await;
    let larger = world.provider_with(&[("INSTANCE_TYPE", "standard-2")]);
    run(world.provider(), Limits::USUAL, |live| async move {
        asks::first_use(&live).await;
        asks::refresh_in_mid_rollout(&live, larger).await;
    })
    .await;
    assert_eq!(left(&world).await, Vec::<String>::new());
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_passes_also_where_file_systems_are_kept() {
    let world = account(true).await;
    run(world.provider(), Limits::USUAL, |live| async move { asks::first_use(&live).await }).await;
    assert_eq!(left(&world).await, Vec::<String>::new());
    end(world).await;
}

async fn fails(provider: Arc<dyn Provider>, limits: Limits) -> String {
    let ran = tokio::spawn(run(provider, limits, |live| async move { asks::first_use(&live).await })).await;
    let failed = ran.expect_err("the budget is too small").into_panic();
    failed.downcast_ref::<String>().expect("words").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_used_up_ends_it_and_nothing_is_left_also_of_a_run_that_was_killed() {
    let world = account(false).await;
    // As a run leaves it that is killed.
    world.apply_shared(&world.provider()).await.unwrap();
    let mut killed = Stack::new(world.provider(), {
        let provider = world.provider();
        let size = provider.describe().sizes[0].name.clone();
        provider_api::RuntimeSpec::new(contracts::RuntimeId::random(), Live::installation(), size)
    });
    killed.up().await;
    for (limits, words) in [
        (Limits { runtimes: 1, ..Limits::USUAL }, "the budget has 1 runtimes"),
        (Limits { calls: 3, ..Limits::USUAL }, "the budget has 3 calls"),
        (Limits { time: Duration::from_millis(300), ..Limits::USUAL }, "the budget has 300ms"),
    ] {
        let said = fails(world.provider(), limits).await;
        assert!(said.contains(words), "{said}");
        assert_eq!(left(&world).await, Vec::<String>::new(), "{words}");
    }
    end(world).await;
}
