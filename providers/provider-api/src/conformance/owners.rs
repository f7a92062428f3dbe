//! Cases about whose an object is: of another installation, or of a newer generation.

use std::time::Duration;

use contracts::{ErrorCode, InstallationId};

use crate::conformance::{Fixture, Stack};
use crate::{Outcome, ProviderError, Result, RuntimeRef, RuntimeSpec, Take};

/// A refusal that changed nothing, names what is refused and says what to do.
pub(super) fn refused<T>(what: &str, result: Result<T>, code: ErrorCode) -> ProviderError {
    let Err(error) = result else { panic!("{what} must be refused as {code}") };
    assert_eq!((error.code, &error.outcome), (code, &Outcome::NothingHappened), "{what}: {error}");
    assert!(error.action.is_some(), "{what}: the error says what to do");
    error
}

pub async fn the_objects_of_another_installation_are_never_touched(fixture: &Fixture) {
    let mut ours = fixture.stack();
    ours.up().await;
    let runtime = ours.runtime();
    let objects = fixture.backdoor.objects(&runtime).await;
    let foreign = ErrorCode::ForeignObject;

    let mut theirs =
        fixture.stack_of(&fixture.second, &InstallationId::random(), ours.spec.runtime_id.clone());
    for name in theirs.names() {
        // The engine would hand on what the first resources gave; take ours, they have the same names.
        let error = refused(&format!("to create {name}"), theirs.create(&name).await, foreign);
        assert!(error.message.contains(runtime.installation.as_str()), "the error names the owner: {error}");
        let (_, created) = ours.state[&name].clone();
        theirs.state.insert(name.clone(), (theirs.inputs(&name), created));
        refused(&format!("to read {name}"), theirs.read(&name).await, foreign);
        refused(&format!("to update {name}"), theirs.update(&name).await, foreign);
        refused(&format!("to delete {name}"), theirs.delete(&name).await, foreign);
    }
    let lifecycle = fixture.second.lifecycle();
    refused("a stop", lifecycle.stop(&theirs.runtime(), Duration::ZERO).await, foreign);
    refused("a start", lifecycle.start(&theirs.runtime()).await, foreign);
    refused("its status", lifecycle.status(&theirs.runtime()).await, foreign);
    refused("its endpoint", lifecycle.endpoint(&theirs.runtime()).await, foreign);
    if fixture.second.describe().suspend {
        refused("a suspend", lifecycle.suspend(&theirs.runtime()).await, foreign);
        refused("a resume", lifecycle.resume(&theirs.runtime()).await, foreign);
    }
    if let Some(logs) = fixture.second.logs() {
        refused("its log", logs.tail(&theirs.runtime(), 1000).await, foreign);
    }
    if let Some(exec) = fixture.second.exec() {
        let command = ["true".to_owned()];
        refused("a command", exec.exec(&theirs.runtime(), &command, Duration::from_secs(5)).await, foreign);
    }
    if let Some(snapshots) = fixture.second.snapshots() {
        refused("a snapshot", snapshots.take(&theirs.runtime(), &Take::of("theirs")).await, foreign);
        refused("its snapshots", snapshots.list(&theirs.runtime()).await, foreign);
    }
    let inventory = fixture.second.inventory().expect("an inventory");
    assert_eq!(inventory.list_installation(&theirs.spec.installation).await.unwrap(), []);

    assert_eq!(fixture.backdoor.objects(&runtime).await, objects);
    assert!(fixture.backdoor.runs(&runtime).await);
}

pub async fn what_one_runtime_owns_is_what_the_installation_owns_of_it(fixture: &Fixture) {
    let (mut one, mut other) = (fixture.stack(), fixture.stack());
    one.up().await;
    other.up().await;
    let inventory = fixture.second.inventory().expect("an inventory");
    let of = async |runtime: &RuntimeRef| {
        let mut owned = inventory.list_runtime(runtime).await.unwrap();
        owned.sort();
        owned
    };
    for stack in [&one, &other] {
        let runtime = stack.runtime();
        let mut all = fixture.owned().await;
        all.retain(|object| object.runtime_id == runtime.runtime_id);
        all.sort();
        assert!(all.len() >= stack.declared.resources.len(), "{all:?}");
        assert_eq!(of(&runtime).await, all, "both ways to ask have one answer");
        assert_eq!(of(&runtime.clone().under(Some(7))).await, all, "whoever asks");
        let elsewhere = RuntimeRef::new(runtime.runtime_id, InstallationId::random());
        assert_eq!(of(&elsewhere).await, [], "another installation's are not in it");
    }
    assert_eq!(of(&fixture.stack().runtime()).await, [], "of one that was never made there is nothing");
    one.down().await;
    assert_eq!(of(&one.runtime()).await, []);
    assert!(!of(&other.runtime()).await.is_empty(), "what is left is the other's");
}

/// A program that still works on an older generation of the same runtime, and knows what exists.
fn stale_program(fixture: &Fixture, newer: &Stack) -> Stack {
    let spec = RuntimeSpec { generation: newer.spec.generation - 1, ..newer.spec.clone() };
    let mut stale = Stack::new(fixture.second.clone(), spec);
    for name in newer.names() {
        let (_, created) = newer.state[&name].clone();
        stale.state.insert(name.clone(), (stale.inputs(&name), created));
    }
    stale
}

async fn is_fenced(fixture: &Fixture, newer: &Stack) {
    let runtime = newer.runtime();
    let objects = fixture.backdoor.objects(&runtime).await;
    let stale = stale_program(fixture, newer);
    for name in stale.names().iter().rev() {
        let mut stale = stale.clone();
        refused(&format!("a stale delete of {name}"), stale.delete(name).await, ErrorCode::Fenced);
        refused(&format!("a stale update of {name}"), stale.update(name).await, ErrorCode::Fenced);
        refused(&format!("a stale create of {name}"), stale.create(name).await, ErrorCode::Fenced);
        let read = newer.read(name).await.unwrap().expect("it is left alone");
        let (inputs, created) = &newer.state[name];
        assert_eq!((read.inputs, read.outputs), (inputs.clone(), created.outputs.clone()), "{name}");
    }
    assert_eq!(fixture.backdoor.objects(&runtime).await, objects);
    assert!(fixture.backdoor.runs(&runtime).await);
    newer.down().await;
    assert_eq!(fixture.owned().await, []);
}

pub async fn a_stale_generation_is_fenced_and_leaves_the_object_as_it_is(fixture: &Fixture) {
    let mut stack = fixture.stack();
    let spec = RuntimeSpec { generation: 7, ..stack.spec.clone() };
    stack = Stack::new(fixture.provider.clone(), spec);
    stack.up().await;
    is_fenced(fixture, &stack).await;
}

pub async fn a_generation_that_an_update_made_stale_is_fenced(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    stack.change_to(RuntimeSpec { generation: 2, ..stack.spec.clone() }).await;
    is_fenced(fixture, &stack).await;
}
