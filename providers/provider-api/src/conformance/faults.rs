//! Cases about a way to the objects that loses answers, hangs or is cut.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use contracts::ErrorCode;

use futures_util::StreamExt as _;

use crate::conformance::{Faults, Fixture, Stack, eventually};
use crate::{Outcome, ProviderError, Result, RunStatus};

const GRACE: Duration = Duration::from_secs(5);
/// No call of a provider may take longer, whatever happens.
const TIMEOUT: Duration = Duration::from_secs(150);
/// Of a hundred. With more, no call of many requests comes through; with less, none is hit.
const LOST: u8 = 30;
const SEEDS: [u64; 3] = [1, 2, 3];
const ATTEMPTS: usize = 40;

fn faults(fixture: &Fixture) -> Arc<dyn Faults> {
    fixture.faults.clone().expect("faults")
}

/// The error of a call that cannot succeed now.
async fn fails<T>(what: &str, call: impl Future<Output = Result<T>>) -> ProviderError {
    let Ok(result) = tokio::time::timeout(TIMEOUT, call).await else {
        panic!("{what} has no limit of its own: it still waits after {TIMEOUT:?}")
    };
    let Err(error) = result else { panic!("{what} cannot have succeeded") };
    assert_ne!(error.code, ErrorCode::NotFound, "{what}: {error}");
    error
}

/// Repeats a step as the engine's user would, until it succeeds.
async fn repeat<F: Future<Output = Result<()>>>(what: &str, mut step: impl FnMut() -> F) {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match step().await {
            Ok(()) => return,
            Err(error) => {
                let is_ours = !matches!(error.code, ErrorCode::ForeignObject | ErrorCode::Fenced);
                assert!(is_ours, "{what}: its own object is taken for another's: {error}");
                last = Some(error);
            }
        }
    }
    panic!("{what} did not succeed in {ATTEMPTS} attempts: {last:?}");
}

async fn is_whole(fixture: &Fixture, stack: &mut Stack) {
    stack.up().await;
    let objects = fixture.backdoor.objects(&stack.runtime()).await;
    assert_eq!(objects.len(), stack.declared.resources.len(), "{objects:?}");
    eventually("the instance runs", async || fixture.backdoor.runs(&stack.runtime()).await).await;
    assert_eq!(fixture.provider.lifecycle().status(&stack.runtime()).await.unwrap(), RunStatus::Running);
}

async fn is_gone(fixture: &Fixture, stack: &Stack) {
    assert_eq!(fixture.backdoor.objects(&stack.runtime()).await, Vec::<String>::new());
    assert_eq!(fixture.owned().await, []);
}

pub async fn a_create_whose_answer_was_lost_is_adopted(fixture: &Fixture) {
    for seed in SEEDS {
        let mut stack = fixture.stack();
        faults(fixture).lose_answers(LOST, seed).await;
        let mut fence = 0;
        for name in stack.names() {
            // Each attempt knows nothing of the one before, like a program that takes over from one that
            // was killed.
            let mut created = None;
            for _ in 0..ATTEMPTS {
                fence += 1;
                stack = stack.under(Some(fence));
                created = stack.create(&name).await.ok();
                if created.is_some() {
                    break;
                }
            }
            if created.is_none() {
                faults(fixture).heal().await;
                stack.create(&name).await.unwrap_or_else(|error| panic!("{name}, seed {seed}: {error}"));
                faults(fixture).lose_answers(LOST, seed + 100).await;
            }
        }
        faults(fixture).heal().await;
        is_whole(fixture, &mut stack).await;
        stack.down().await;
        is_gone(fixture, &stack).await;
    }
}

pub async fn a_delete_whose_answer_was_lost_is_finished(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    faults(fixture).lose_answers(LOST, 4).await;
    let mut fence = 0;
    for name in stack.names().iter().rev() {
        let delete = || {
            fence += 1;
            let later = stack.under(Some(fence));
            async move { later.delete(name).await }
        };
        repeat(&format!("to delete {name}"), delete).await;
    }
    faults(fixture).heal().await;
    is_gone(fixture, &stack).await;
}

/// An error that says "nothing happened" must be the truth.
async fn tells_the_truth(
    fixture: &Fixture,
    stack: &Stack,
    before: &[String],
    what: &str,
    error: ProviderError,
) {
    let now = fixture.backdoor.objects(&stack.runtime()).await;
    match error.outcome {
        Outcome::Unknown => {}
        Outcome::NothingHappened => assert_eq!(now, before, "{what}: {error}"),
        Outcome::Partial { .. } => panic!("{what}: nothing is known, and it says Partial: {error}"),
    }
}

pub async fn a_timeout_is_never_read_as_gone(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let before = fixture.backdoor.objects(&stack.runtime()).await;
    let last = stack.names().pop().expect("a resource");
    faults(fixture).hang().await;
    let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
    let mut again = stack.clone();
    let (status, read, deleted, created) = tokio::join!(
        fails("the status", lifecycle.status(&runtime)),
        fails("a read", stack.read(&last)),
        fails("a delete", stack.delete(&last)),
        fails("a create", again.create(&last)),
    );
    for (what, error) in [("the status", &status), ("a read", &read)] {
        assert!(error.code.retryable(), "{what} may work later, and {} says that it cannot", error.code);
    }
    faults(fixture).heal().await;
    tells_the_truth(fixture, &stack, &before, "a delete", deleted).await;
    tells_the_truth(fixture, &stack, &before, "a create", created).await;
    is_whole(fixture, &mut stack).await;
}

async fn each_of_many_fails(fixture: &Fixture, stack: &Stack) {
    let many = vec![stack.runtime().runtime_id, fixture.stack().spec.runtime_id];
    let lifecycle = fixture.provider.lifecycle();
    let many: Vec<_> = lifecycle.status_many(fixture.installation.clone(), many).collect().await;
    assert_eq!(many.len(), 2, "each is told of: {many:?}");
    for (of, status) in many {
        fails(&format!("the status of {of} among many"), std::future::ready(status)).await;
    }
}

pub async fn what_cannot_be_reached_is_never_read_as_gone(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let before = fixture.backdoor.objects(&stack.runtime()).await;
    faults(fixture).unreachable().await;
    let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
    let inventory = fixture.provider.inventory().expect("an inventory");
    // At once, since each may wait for as long as a call takes.
    tokio::join!(
        fails("ready", fixture.provider.ready()),
        fails("the status", lifecycle.status(&runtime)),
        fails("a stop", lifecycle.stop(&runtime, GRACE)),
        fails("a start", lifecycle.start(&runtime)),
        fails("the inventory", inventory.list_installation(&fixture.installation)),
        fails("the inventory of one", inventory.list_runtime(&runtime)),
        each_of_many_fails(fixture, &stack),
    );
    let names = stack.names();
    let of_each = names.iter().rev().map(|name| {
        let of = |what: &str| format!("{what} of {name}");
        let (read, import) = (of("a read"), of("an import"));
        let stack = &stack;
        async move {
            tokio::join!(fails(&read, stack.read(name)), fails(&import, stack.import(name)));
            let error = fails(&format!("a delete of {name}"), stack.delete(name)).await;
            assert!(error.code.retryable(), "it may work later, and {} says that it cannot", error.code);
        }
    });
    let mut other = fixture.stack();
    let first = other.names().remove(0);
    tokio::join!(futures_util::future::join_all(of_each), fails("a create", other.create(&first)));
    faults(fixture).heal().await;
    assert_eq!(fixture.backdoor.objects(&runtime).await, before);
    assert_eq!(fixture.backdoor.objects(&other.runtime()).await, Vec::<String>::new());
    assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Running);
    stack.down().await;
    is_gone(fixture, &stack).await;
}
