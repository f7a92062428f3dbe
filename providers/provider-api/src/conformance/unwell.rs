//! Cases about an instance that ended by itself: a read tells it, so that the next update mends it, and never takes a user's stop
//! for one.

use std::time::Duration;

use contracts::ErrorCode;

use super::{Fixture, Stack, eventually};
use crate::{Outcome, RunStatus};

const GRACE: Duration = Duration::from_secs(5);

async fn reads_well(stack: &Stack) {
    for name in stack.names() {
        let read = stack.read(&name).await.unwrap_or_else(|error| panic!("a read of {name}: {error}"));
        assert!(read.is_some(), "{name} is there");
    }
}

async fn runs(fixture: &Fixture, stack: &Stack) {
    eventually("the instance runs", async || fixture.backdoor.runs(&stack.runtime()).await).await;
    reads_well(stack).await;
}

pub async fn an_instance_that_ended_by_itself_is_told_by_a_read_and_started_by_an_update(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    runs(fixture, &stack).await;
    let (instance, lifecycle) = (stack.names().pop().expect("a resource"), fixture.provider.lifecycle());
    fixture.backdoor.fail(&stack.runtime()).await;
    let (runtime, ended) = (stack.runtime(), |status| matches!(status, RunStatus::Stopped { .. }));
    eventually("it has ended", async || lifecycle.status(&runtime).await.is_ok_and(ended)).await;

    let made = stack.state[&instance].1.clone();
    for name in stack.names().iter().filter(|name| **name != instance) {
        assert!(stack.read(name).await.unwrap().is_some(), "{name} is well");
    }
    let error = stack.read(&instance).await.expect_err("a read hides that the instance has ended");
    assert_eq!(error.code, ErrorCode::InstanceFailed, "{error}");
    let Outcome::Partial { id, outputs } = &error.outcome else { panic!("it is there: {:?}", error.outcome) };
    assert_eq!(*id, made.id);
    let inputs = stack.inputs(&instance);
    assert!(inputs.iter().all(|(name, value)| outputs.get(name) == Some(value)), "{inputs:?} in {outputs:?}");

    stack.update(&instance).await.unwrap_or_else(|error| panic!("an update does not mend it: {error}"));
    runs(fixture, &stack).await;
}

pub async fn what_was_stopped_is_told_as_well_and_no_update_starts_it(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    runs(fixture, &stack).await;
    let (instance, lifecycle) = (stack.names().pop().expect("a resource"), fixture.provider.lifecycle());
    // Also one that has to be killed.
    for grace in [GRACE, Duration::ZERO] {
        lifecycle.stop(&stack.runtime(), grace).await.unwrap();
        reads_well(&stack).await;
        stack.update(&instance).await.unwrap();
        let status = lifecycle.status(&stack.runtime()).await.unwrap();
        assert!(matches!(status, RunStatus::Stopped { .. }), "{status:?}");
        assert!(!fixture.backdoor.runs(&stack.runtime()).await);
        reads_well(&stack).await;
        lifecycle.start(&stack.runtime()).await.unwrap();
        runs(fixture, &stack).await;
    }
}
