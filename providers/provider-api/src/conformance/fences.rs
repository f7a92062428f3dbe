//! Cases about operations that one program has taken over from another, which is still there.

use std::time::Duration;

use contracts::ErrorCode;

use super::owners::refused;
use crate::conformance::{Fixture, Stack};
use crate::{ReadState, RunStatus, RuntimeSpec};

const GRACE: Duration = Duration::from_secs(5);

/// What a late write must leave as it is.
#[derive(Debug, PartialEq)]
struct Seen {
    objects: Vec<String>,
    runs: bool,
    status: RunStatus,
    resources: Vec<Option<ReadState>>,
}

async fn seen(fixture: &Fixture, stack: &Stack) -> Seen {
    let runtime = stack.runtime();
    let mut resources = Vec::new();
    for name in stack.names() {
        resources.push(stack.read(&name).await.unwrap());
    }
    Seen {
        objects: fixture.backdoor.objects(&runtime).await,
        runs: fixture.backdoor.runs(&runtime).await,
        status: fixture.provider.lifecycle().status(&runtime).await.unwrap(),
        resources,
    }
}

/// A program with this fence knows all that the stack does, and every write of it is refused.
async fn is_too_late(fixture: &Fixture, stack: &Stack, fence: u64) {
    let mut late = Stack { provider: fixture.second.clone(), ..stack.under(Some(fence)) };
    let (runtime, lifecycle, fenced) = (late.runtime(), fixture.second.lifecycle(), ErrorCode::Fenced);
    let before = seen(fixture, stack).await;
    let unchanged = async |what: &str| {
        assert_eq!(seen(fixture, stack).await, before, "{what} with the fence {fence} was refused and acted");
    };
    for name in late.names().iter().rev() {
        refused(&format!("a late delete of {name}"), late.delete(name).await, fenced);
        unchanged("a delete").await;
        refused(&format!("a late update of {name}"), late.update(name).await, fenced);
        unchanged("an update").await;
        refused(&format!("a late create of {name}"), late.create(name).await, fenced);
        unchanged("a create").await;
    }
    refused("a late stop", lifecycle.stop(&runtime, GRACE).await, fenced);
    unchanged("a stop").await;
    refused("a late start", lifecycle.start(&runtime).await, fenced);
    unchanged("a start").await;
    if fixture.second.describe().suspend {
        refused("a late suspend", lifecycle.suspend(&runtime).await, fenced);
        unchanged("a suspend").await;
        refused("a late resume", lifecycle.resume(&runtime).await, fenced);
        unchanged("a resume").await;
    }
    lifecycle.status(&runtime).await.expect("who is late may look");
}

pub async fn a_write_with_a_lower_fence_is_refused_and_changes_nothing(fixture: &Fixture) {
    let mut stack = fixture.stack().under(Some(5));
    stack.up().await;
    is_too_late(fixture, &stack, 4).await;
    let lifecycle = fixture.provider.lifecycle();
    lifecycle.start(&stack.under(Some(6)).runtime()).await.expect("a higher fence may start what runs");
    is_too_late(fixture, &stack, 5).await;
    stack.under(Some(6)).down().await;
    assert_eq!(fixture.owned().await, [], "what keeps the fence goes with the runtime");
}

/// Nothing says what an update that failed on its way has written; who has the fence can remove it all the same.
pub async fn what_an_update_has_left_that_no_stack_knows_of_is_removed_by_who_has_the_fence(
    fixture: &Fixture,
) {
    let mut stack = fixture.stack().under(Some(5));
    stack.up().await;
    let before = stack.clone();
    stack.change_to(RuntimeSpec { generation: 3, ..stack.spec.clone() }).await;
    before.under(Some(6)).down().await;
    assert_eq!(fixture.owned().await, []);
}

pub async fn what_a_successor_has_finished_is_refused_to_who_began_it(fixture: &Fixture) {
    let mut stack = fixture.stack().under(Some(5));
    let mut names = stack.names();
    let last = names.pop().expect("a resource");
    for name in names {
        stack.create(&name).await.unwrap();
    }
    // An engine that finds the first ones in its state makes the last alone.
    stack = stack.under(Some(6));
    stack.create(&last).await.unwrap();
    is_too_late(fixture, &stack, 5).await;
}

pub async fn every_write_keeps_a_higher_fence(fixture: &Fixture) {
    let mut stack = fixture.stack().under(Some(1));
    stack.up().await;
    let lifecycle = fixture.provider.lifecycle();
    let mut fence = 1;
    for name in stack.names() {
        fence += 1;
        stack = stack.under(Some(fence));
        stack.update(&name).await.unwrap_or_else(|error| panic!("an update of {name}: {error}"));
        is_too_late(fixture, &stack, fence - 1).await;
    }
    fence += 1;
    lifecycle.stop(&stack.under(Some(fence)).runtime(), GRACE).await.unwrap();
    is_too_late(fixture, &stack, fence - 1).await;
    fence += 1;
    lifecycle.stop(&stack.under(Some(fence)).runtime(), GRACE).await.expect("it is stopped already");
    is_too_late(fixture, &stack, fence - 1).await;
    if fixture.provider.capabilities().hibernate {
        fence += 1;
        lifecycle.hibernate(&stack.under(Some(fence)).runtime(), GRACE).await.expect("it does not run");
        is_too_late(fixture, &stack, fence - 1).await;
    }
    fence += 1;
    lifecycle.start(&stack.under(Some(fence)).runtime()).await.unwrap();
    for name in stack.names() {
        fence += 1;
        stack = stack.under(Some(fence));
        stack.create(&name).await.unwrap_or_else(|error| panic!("a create of {name}: {error}"));
        is_too_late(fixture, &stack, fence - 1).await;
    }
    stack.down().await;
    assert_eq!(fixture.owned().await, []);
}

pub async fn a_suspend_and_a_resume_keep_a_higher_fence(fixture: &Fixture) {
    let mut stack = fixture.stack().under(Some(1));
    stack.up().await;
    let lifecycle = fixture.provider.lifecycle();
    lifecycle.suspend(&stack.under(Some(2)).runtime()).await.unwrap();
    is_too_late(fixture, &stack, 1).await;
    lifecycle.suspend(&stack.under(Some(3)).runtime()).await.expect("it is suspended already");
    is_too_late(fixture, &stack, 2).await;
    lifecycle.resume(&stack.under(Some(4)).runtime()).await.unwrap();
    is_too_late(fixture, &stack, 3).await;
    lifecycle.resume(&stack.under(Some(5)).runtime()).await.expect("it runs already");
    is_too_late(fixture, &stack, 4).await;
    stack.under(Some(5)).down().await;
    assert_eq!(fixture.owned().await, []);
}

pub async fn a_take_over_alone_changes_no_resource(fixture: &Fixture) {
    let mut first = fixture.stack().under(Some(5));
    first.up().await;
    let before = seen(fixture, &first).await;
    let runtime = first.spec.runtime_id.clone();
    let mut second = fixture.stack_of(&fixture.second, &fixture.installation, runtime).under(Some(6));
    second.up().await;
    assert_eq!(second.state, first.state, "a fence is no input and no output");
    assert_eq!(seen(fixture, &first).await, before);
}

pub async fn who_has_no_fence_is_never_refused_for_it(fixture: &Fixture) {
    let mut stack = fixture.stack().under(Some(5));
    stack.up().await;
    let mut person = Stack { provider: fixture.second.clone(), ..stack.under(None) };
    let (runtime, lifecycle) = (person.runtime(), fixture.second.lifecycle());
    person.up().await;
    for name in person.names() {
        person.update(&name).await.unwrap_or_else(|error| panic!("an update of {name}: {error}"));
    }
    if fixture.second.describe().suspend {
        lifecycle.suspend(&runtime).await.unwrap();
        lifecycle.resume(&runtime).await.unwrap();
    }
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    lifecycle.start(&runtime).await.unwrap();
    is_too_late(fixture, &stack, 4).await;
    person.down().await;
    assert_eq!(fixture.owned().await, []);
}
