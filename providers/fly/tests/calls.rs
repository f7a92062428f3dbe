//! How many calls Fly sees, and that it never has to ask for fewer.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/world.rs"]
mod world;

use std::sync::Arc;
use std::time::Duration;

use provider_api::Provider;
use provider_api::conformance::Stack;
use sim_fly::RunnerKind;
use world::World;

fn stack(world: &World, provider: &Arc<dyn Provider>) -> Stack {
    let (installation, runtime) = (world.installation.clone(), contracts::RuntimeId::random());
    let spec = provider_api::RuntimeSpec {
        region: Some("fra".to_owned()),
        ..provider_api::RuntimeSpec::new(runtime, installation, "small")
    };
    Stack::new(provider.clone(), spec)
}

async fn seen(world: &World, what: impl Future<Output = ()>) -> Vec<String> {
    world.sim.forget_requests();
    what.await;
    world.actions()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_makes_the_calls_of_the_table_and_no_more() {
    let world = World::with(|settings| {
        settings.runner = RunnerKind::Records;
        settings.delays.app_delete = Duration::ZERO;
    })
    .await;
    let provider = world.provider();
    let mut stack = stack(&world, &provider);
    let (runtime, lifecycle) = (stack.runtime(), provider.lifecycle());
    let grace = Duration::from_secs(5);

    let calls = seen(&world, async { stack.up().await }).await;
    let app = ["app_create", "ip_list", "ip_assign"];
    let home = ["volume_create", "volume_list"];
    let instance = ["secret_update", "machine_create", "machine_wait"];
    assert_eq!(calls, [&app[..], &home, &instance].concat());

    let calls = seen(&world, async { lifecycle.suspend(&runtime).await.unwrap() }).await;
    assert_eq!(calls, ["machine_get", "machine_suspend", "machine_wait"]);
    let calls = seen(&world, async { lifecycle.resume(&runtime).await.unwrap() }).await;
    assert_eq!(calls, ["machine_get", "machine_start", "machine_wait"]);
    let calls = seen(&world, async { lifecycle.stop(&runtime, grace).await.unwrap() }).await;
    assert_eq!(calls, ["machine_get", "machine_stop", "machine_wait"]);
    let calls = seen(&world, async { lifecycle.start(&runtime).await.unwrap() }).await;
    assert_eq!(calls, ["machine_get", "machine_start", "machine_wait"]);

    lifecycle.stop(&runtime, grace).await.unwrap();
    world.boot.change();
    let calls = seen(&world, async { lifecycle.start(&runtime).await.unwrap() }).await;
    let update = ["secret_update", "lease_acquire", "machine_get", "machine_update", "lease_release"];
    let forget = ["machine_wait", "secret_list", "secret_update"];
    assert_eq!(calls, [&["machine_get"][..], &update, &forget].concat());

    let calls = seen(&world, async { assert!(lifecycle.status(&runtime).await.is_ok()) }).await;
    assert_eq!(calls, ["machine_get"]);
    let calls = seen(&world, async { stack.down().await }).await;
    let instance = ["machine_get", "machine_destroy", "machine_wait"];
    let home = ["machine_list", "volume_list", "volume_delete"];
    let app = ["app_get", "machine_list", "app_delete", "app_get"];
    assert_eq!(calls, [&instance[..], &home, &app].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_costs_one_call_more_when_it_rises_and_none_before_and_after() {
    let world = World::with(|settings| settings.runner = RunnerKind::Records).await;
    let provider = world.provider();
    let mut stack = stack(&world, &provider).under(Some(5));
    let (lifecycle, grace) = (provider.lifecycle(), Duration::from_secs(5));

    let calls = seen(&world, async { stack.up().await }).await;
    assert!(!calls.contains(&"metadata_patch".to_owned()), "a new machine is made with it: {calls:?}");
    let first = stack.runtime();
    let calls = seen(&world, async { lifecycle.stop(&first, grace).await.unwrap() }).await;
    assert_eq!(calls, ["machine_get", "machine_stop", "machine_wait"]);
    let second = stack.under(Some(6)).runtime();
    let calls = seen(&world, async { lifecycle.start(&second).await.unwrap() }).await;
    assert_eq!(calls, ["machine_get", "metadata_patch", "machine_start", "machine_wait"]);
    let calls = seen(&world, async { lifecycle.stop(&second, grace).await.unwrap() }).await;
    assert_eq!(calls, ["machine_get", "machine_stop", "machine_wait"]);
    let calls = seen(&world, async { drop(lifecycle.start(&first).await.unwrap_err()) }).await;
    assert_eq!(calls, ["machine_get"], "a late call asks, and does nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn flys_published_rates_are_kept_before_fly_must_refuse() {
    let mut world = World::with(|settings| {
        settings.runner = RunnerKind::Records;
        settings.rate_limits = Some(1.0);
    })
    .await;
    world.timing.rates = Some(1);
    let provider = world.provider();
    let mut stack = stack(&world, &provider);
    stack.up().await;
    let (runtime, lifecycle) = (stack.runtime(), provider.lifecycle());
    // More of each than may come at once.
    for _ in 0..5 {
        lifecycle.suspend(&runtime).await.unwrap();
        lifecycle.resume(&runtime).await.unwrap();
    }
    let refused = world.sim.requests().into_iter().filter(|request| request.status == 429);
    assert_eq!(refused.map(|request| request.action).collect::<Vec<_>>(), Vec::<String>::new());
}
