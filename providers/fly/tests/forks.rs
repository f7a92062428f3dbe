//! A fork at Fly: a new volume from a snapshot, from which a short machine takes the original's secrets before an instance runs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

#[path = "support/world.rs"]
mod world;

use std::sync::Arc;

use contracts::ErrorCode;
use provider_api::conformance::{Backdoor, Faults, Stack};
use provider_api::{Provider, RuntimeSpec, Source, Take};
use sim_fly::Kind;
use world::{World, stack_in};

const SECRET: &str = ".netrc";
const FILE: &str = "kept.txt";

/// A world with one workspace, and a snapshot of it.
async fn original() -> (World, Arc<dyn Provider>, Source) {
    let world = world::new().await;
    let provider = world.provider();
    let mut stack = stack_in(&world, &provider, "fra");
    stack.up().await;
    world.write_home(&stack.runtime(), SECRET, "secret").await;
    world.write_home(&stack.runtime(), FILE, "kept").await;
    let taken = provider.snapshots().unwrap().take(&stack.runtime(), &Take::of("then")).await.unwrap();
    (world, provider, Source { runtime_id: stack.spec.runtime_id, snapshot: taken.id })
}

fn fork(world: &World, provider: &Arc<dyn Provider>, source: &Source) -> Stack {
    let spec = stack_in(world, provider, "fra").spec;
    Stack::new(provider.clone(), RuntimeSpec { source: Some(source.clone()), ..spec })
}

/// One app, one machine and one volume, without the secret.
async fn is_whole(world: &World, fork: &Stack) {
    let runtime = fork.runtime();
    assert_eq!(world.objects(&runtime).await.len(), 3);
    assert_eq!(world.read_home(&runtime, FILE).await.as_deref(), Some("kept"));
    assert_eq!(world.read_home(&runtime, SECRET).await, None);
    assert!(world.runs(&runtime).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_that_is_cut_off_at_any_call_is_whole_after_the_next_try() {
    let (world, provider, source) = original().await;
    for (method, path) in [
        ("POST", "/v1/apps/*/volumes"),
        ("GET", "/v1/apps/*/volumes"),
        ("GET", "/v1/apps/*/machines"),
        ("POST", "/v1/apps/*/machines"),
        ("GET", "/v1/apps/*/machines/*/wait"),
        ("GET", "/v1/apps/*/machines/*"),
        ("DELETE", "/v1/apps/*/machines/*"),
    ] {
        for then in [Kind::CutAfter, Kind::CutBefore, Kind::Hang] {
            let mut fork = fork(&world, &provider, &source);
            world.order(Some(method), path, Some(1), then);
            // Some are mended on the way.
            let _ = fork.try_up().await;
            world.heal().await;
            fork.up().await;
            is_whole(&world, &fork).await;
            fork.down().await;
            assert_eq!(world.objects(&fork.runtime()).await, Vec::<String>::new(), "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_volume_with_another_workspaces_secrets_stays_when_they_cannot_be_removed() {
    let (world, provider, source) = original().await;
    let mut fork = fork(&world, &provider, &source);
    let body = r#"{"error": "no room", "status": "insufficient_capacity"}"#.to_owned();
    world.order(
        Some("POST"),
        "/v1/apps/*/machines",
        Some(1),
        Kind::Status { code: 422, body, retry_after: None },
    );
    let error = fork.try_up().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ProviderCapacity);
    assert_eq!(world.objects(&fork.runtime()).await.len(), 1, "the app alone");
    world.heal().await;
    fork.up().await;
    is_whole(&world, &fork).await;
}
