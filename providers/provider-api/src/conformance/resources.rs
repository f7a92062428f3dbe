//! Cases about resources: create, read, update, delete.

use contracts::RuntimeId;

use crate::conformance::{Fixture, Stack};
use crate::{DiffRequest, Outcome, RunStatus};

pub async fn a_declaration_is_the_same_every_time_and_passes_its_own_check(fixture: &Fixture) {
    let mut stack = fixture.stack();
    assert_eq!(stack.declared, fixture.second.declare(&stack.spec).unwrap());
    stack.up().await;
    for name in stack.names() {
        let (inputs, created) = &stack.state[&name];
        let resource = stack.resource(&name);
        assert_eq!(resource.check(inputs), [], "{name}");
        let schema = resource.schema();
        for property in schema.inputs.iter().chain(&schema.outputs).filter(|property| property.required) {
            assert!(created.outputs.contains_key(property.name), "{name} gives no {}", property.name);
        }
        let same = DiffRequest {
            id: created.id.clone(),
            old_inputs: inputs.clone(),
            old_outputs: created.outputs.clone(),
            new_inputs: inputs.clone(),
        };
        assert_eq!(resource.diff(&same), Default::default(), "{name}");
        let read = stack.read(&name).await.unwrap().expect("it was just made");
        assert_eq!(read.outputs, created.outputs, "{name} reads as it was created");
        assert_eq!(read.inputs, *inputs, "{name} reads with its inputs");
    }
}

pub async fn create_twice_adopts(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let (first, objects) = (stack.state.clone(), fixture.backdoor.objects(&stack.runtime()).await);
    stack.up().await;
    assert_eq!(stack.state, first);
    assert_eq!(fixture.backdoor.objects(&stack.runtime()).await, objects);
    assert_eq!(objects.len(), stack.declared.resources.len());
}

pub async fn concurrent_creates_make_one(fixture: &Fixture) {
    let runtime = RuntimeId::random();
    let attempts: Vec<_> = (0..6)
        .map(|number| {
            let provider = if number % 2 == 0 { &fixture.provider } else { &fixture.second };
            let mut stack = fixture.stack_of(provider, &fixture.installation, runtime.clone());
            tokio::spawn(async move {
                stack.up().await;
                stack
            })
        })
        .collect();
    let mut stacks: Vec<Stack> = Vec::new();
    for attempt in attempts {
        stacks.push(attempt.await.unwrap());
    }
    for stack in &stacks {
        assert_eq!(stack.state, stacks[0].state);
    }
    let objects = fixture.backdoor.objects(&stacks[0].runtime()).await;
    assert_eq!(objects.len(), stacks[0].declared.resources.len(), "{objects:?}");
    stacks[0].down().await;
    assert_eq!(fixture.backdoor.objects(&stacks[0].runtime()).await, Vec::<String>::new());
}

pub async fn a_second_program_adopts_what_the_first_made(fixture: &Fixture) {
    let mut first = fixture.stack();
    first.up().await;
    let mut second = fixture.stack_of(&fixture.second, &fixture.installation, first.spec.runtime_id.clone());
    second.up().await;
    assert_eq!(first.state, second.state);
    let lifecycle = fixture.second.lifecycle();
    assert_eq!(lifecycle.status(&first.runtime()).await.unwrap(), RunStatus::Running);
    second.down().await;
    assert_eq!(fixture.provider.lifecycle().status(&first.runtime()).await.unwrap(), RunStatus::Absent);
}

pub async fn delete_twice_is_a_success(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    stack.down().await;
    stack.down().await;
    assert_eq!(fixture.backdoor.objects(&stack.runtime()).await, Vec::<String>::new());
}

pub async fn what_is_half_made_is_deleted(fixture: &Fixture) {
    let whole = {
        let mut stack = fixture.stack();
        stack.up().await;
        stack.down().await;
        stack
    };
    for made in 1..whole.names().len() {
        let mut stack = fixture.stack();
        for name in &stack.names()[..made] {
            stack.create(name).await.unwrap();
        }
        assert_eq!(fixture.backdoor.objects(&stack.runtime()).await.len(), made);
        stack.down().await;
        assert_eq!(fixture.backdoor.objects(&stack.runtime()).await, Vec::<String>::new());
        assert_eq!(fixture.owned().await, []);
    }
}

pub async fn what_no_state_knows_is_deleted_by_whose_it_is(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let mut other = fixture.stack();
    other.up().await;
    let others = fixture.backdoor.objects(&other.runtime()).await;
    for (left, name) in stack.names().iter().enumerate().rev() {
        stack.delete_blind(name).await.unwrap_or_else(|error| panic!("delete {name}: {error}"));
        let objects = fixture.backdoor.objects(&stack.runtime()).await;
        assert_eq!(objects.len(), left, "{name} is gone, and nothing else: {objects:?}");
    }
    assert!(fixture.owned().await.iter().all(|object| object.runtime_id == other.spec.runtime_id));
    assert_eq!(fixture.backdoor.objects(&other.runtime()).await, others);
    other.down().await;
}

pub async fn what_was_removed_by_hand_reads_as_none_and_is_made_again(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let names = stack.names();
    for name in names.iter().rev() {
        fixture.backdoor.remove(&stack.runtime(), name).await;
        assert_eq!(stack.read(name).await.unwrap(), None, "{name} was removed by hand");
        assert_eq!(stack.import(name).await.unwrap(), None, "{name} was removed by hand");
    }
    assert_eq!(fixture.provider.lifecycle().status(&stack.runtime()).await.unwrap(), RunStatus::Absent);
    stack.up().await;
    for name in &names {
        assert!(stack.read(name).await.unwrap().is_some(), "{name} was made again");
    }
    assert!(fixture.backdoor.runs(&stack.runtime()).await);
}

pub async fn an_import_finds_the_inputs(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    for name in stack.names() {
        let imported = stack.import(&name).await.unwrap().expect("it exists");
        let (inputs, created) = &stack.state[&name];
        assert_eq!(imported.inputs, *inputs, "{name}");
        assert_eq!(imported.id, created.id);
    }
}

/// Who makes a home for it makes an empty one.
pub async fn what_is_gone_cannot_be_updated(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    for name in stack.names().iter().rev() {
        fixture.backdoor.remove(&stack.runtime(), name).await;
        let left = fixture.backdoor.objects(&stack.runtime()).await;
        let error = stack.update(name).await.expect_err(name);
        assert_eq!(error.outcome, Outcome::NothingHappened, "{name}: {error}");
        assert!(error.action.is_some(), "{name}: {error}");
        assert_eq!(stack.read(name).await.unwrap(), None, "{name} was made by an update");
        assert_eq!(fixture.backdoor.objects(&stack.runtime()).await, left, "{name}");
    }
    stack.up().await;
    assert!(fixture.backdoor.runs(&stack.runtime()).await);
}
