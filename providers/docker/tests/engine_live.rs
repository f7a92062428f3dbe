//! The live class itself, at the engine here: what it asks passes, its budget ends it, and it leaves nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

#[path = "support/asks.rs"]
mod asks;

use std::process::Command;

use contracts::RuntimeId;
use provider_api::RuntimeSpec;
use provider_api::conformance::Stack;
use provider_api::conformance::live::{Limits, Live, run};
use provider_docker::conformance::World;

/// Whatever has a label of live runs, with what keeps rules for them.
fn left() -> String {
    let installation = Live::installation();
    let script = format!(
        "for label in pilot.installation={installation} pilot.egress={installation}; do \
         docker ps -aq --filter label=$label; docker network ls -q --filter label=$label; \
         docker volume ls -q --filter label=$label; done"
    );
    let output = Command::new("sh").args(["-ec", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_passes_within_its_budget_and_nothing_is_left_also_of_a_run_that_was_killed() {
    let world = World::new().await;
    // As a run leaves it that is killed.
    let size = world.provider().describe().sizes[0].name.clone();
    let spec = RuntimeSpec::new(RuntimeId::random(), Live::installation(), size);
    Stack::new(world.provider(), spec).up().await;
    assert!(!left().is_empty());
    run(world.provider(), Limits::USUAL, |live| async move { asks::all(&live).await }).await;
    assert_eq!(left(), "");

    let limits = Limits { calls: 3, ..Limits::USUAL };
    let ran = run(world.provider(), limits, |live| async move { asks::all(&live).await });
    let failed = tokio::spawn(ran).await.expect_err("the budget is too small").into_panic();
    let said = failed.downcast_ref::<String>().expect("words");
    assert!(said.contains("the budget has 3 calls, and endpoint is one more"), "{said}");
    assert_eq!(left(), "");
}
