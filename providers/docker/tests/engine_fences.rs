//! What keeps a fence at Docker, and that it comes and goes with its runtime.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::time::Duration;

use contracts::ErrorCode;
use provider_api::conformance::{Fixture, run};
use provider_docker::conformance as world;

const GRACE: Duration = Duration::from_secs(5);

/// The names of the volumes that keep a fence, as the inventory tells them.
async fn registers(fixture: &Fixture) -> Vec<String> {
    let owned = fixture.owned().await;
    owned.into_iter().filter(|object| object.kind == "fence").map(|object| object.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_under_one_fence_makes_nothing_more_than_one_without() {
    run(world::fixture().await, |fixture| async move {
        let mut stack = fixture.stack().under(Some(5));
        stack.up().await;
        let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
        lifecycle.stop(&runtime, GRACE).await.unwrap();
        lifecycle.start(&runtime).await.unwrap();
        assert_eq!(fixture.owned().await.len(), stack.declared.resources.len());
        stack.down().await;
        assert_eq!(fixture.owned().await, []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_take_overs_one_is_kept_until_the_runtimes_last_object_goes() {
    run(world::fixture().await, |fixture| async move {
        let mut stack = fixture.stack().under(Some(5));
        stack.up().await;
        let lifecycle = fixture.provider.lifecycle();
        for fence in [6, 7, 18] {
            lifecycle.start(&stack.under(Some(fence)).runtime()).await.unwrap();
        }
        let id = stack.spec.runtime_id.clone();
        assert_eq!(registers(&fixture).await, [format!("pilot-{id}-fence-18")]);
        let person = stack.under(None);
        for name in person.names().iter().rev() {
            assert_eq!(registers(&fixture).await.len(), 1, "{name} is still there");
            let late = stack.under(Some(17)).delete(name).await.unwrap_err();
            assert_eq!(late.code, ErrorCode::Fenced);
            person.delete(name).await.unwrap();
        }
        assert_eq!(fixture.owned().await, []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_was_broken_off_before_the_fence_went_is_finished_by_the_next() {
    run(world::fixture().await, |fixture| async move {
        let mut stack = fixture.stack().under(Some(5));
        stack.up().await;
        let stack = stack.under(Some(6));
        fixture.provider.lifecycle().stop(&stack.runtime(), GRACE).await.unwrap();
        for name in stack.names().iter().rev() {
            fixture.backdoor.remove(&stack.runtime(), name).await;
        }
        assert_eq!(registers(&fixture).await.len(), 1);
        stack.down().await;
        assert_eq!(fixture.owned().await, []);
    })
    .await;
}
