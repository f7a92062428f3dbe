//! How many calls of Cloudflare's it takes, as the simulator saw them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

#[path = "support/world.rs"]
mod world;

use std::collections::HashMap;
use std::time::Duration;

use contracts::RuntimeId;
use futures_util::StreamExt as _;
use provider_api::conformance::{Backdoor as _, Stack};
use provider_api::{RunStatus, RuntimeSpec};

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_costs_one_call_for_each_thing_that_is_done_with_it() {
    let world = world::start().await;
    let provider = world.provider();
    let before = world.calls().await;
    world.apply_shared(&provider).await.unwrap();
    let shared = world.calls().await;
    assert_eq!((shared.0 - before.0, shared.1 - before.1), (7, 1), "once for an installation");

    // Another program: what it has to find out, it finds out once.
    let provider = world.provider();
    let mut spent = shared;
    let mut cost = async |what: &str, expected: (usize, usize)| {
        let now = world.calls().await;
        assert_eq!(
            (now.0 - spent.0, now.1 - spent.1),
            expected,
            "calls of the API and of the Worker: {what}"
        );
        spent = now;
    };
    let spec = |runtime_id| {
        RuntimeSpec::new(runtime_id, world.installation.clone(), provider.describe().sizes[0].name.clone())
    };
    let mut first = Stack::new(provider.clone(), spec(RuntimeId::random()));
    first.up().await;
    cost("the first create of a process", (1, 1)).await;
    let mut stack = Stack::new(provider.clone(), spec(RuntimeId::random()));
    stack.up().await;
    cost("a create", (0, 1)).await;
    let (lifecycle, runtime) = (provider.lifecycle(), stack.runtime());
    lifecycle.status(&runtime).await.unwrap();
    cost("a status", (0, 1)).await;
    lifecycle.endpoint(&runtime).await.unwrap();
    cost("an endpoint", (0, 1)).await;
    lifecycle.stop(&runtime, Duration::from_secs(5)).await.unwrap();
    cost("a stop", (0, 1)).await;
    lifecycle.start(&runtime).await.unwrap();
    cost("a start", (0, 1)).await;
    stack.read("instance").await.unwrap();
    cost("a read", (0, 1)).await;
    let inventory = provider.inventory().unwrap();
    assert_eq!(inventory.list_runtime(&runtime).await.unwrap().len(), 1);
    cost("what one owns", (0, 1)).await;
    lifecycle.stop(&first.runtime(), Duration::from_secs(5)).await.unwrap();
    cost("a stop", (0, 1)).await;
    let ids = [&first, &stack].map(|stack| stack.spec.runtime_id.clone());
    let told: HashMap<_, _> = lifecycle.status_many(world.installation.clone(), ids.to_vec()).collect().await;
    assert!(matches!(told[&ids[0]], Ok(RunStatus::Stopped { .. })), "{told:?}");
    assert!(matches!(told[&ids[1]], Ok(RunStatus::Running)), "{told:?}");
    cost("the states of both", (0, 1)).await;
    stack.down().await;
    cost("a delete", (0, 1)).await;
    let installation = world.installation.clone();
    world.sweep(&installation).await;
}
