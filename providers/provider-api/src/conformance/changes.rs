//! Cases about changes of what exists: in place, or by another instance with the same home.

use std::time::Duration;

use contracts::ErrorCode;
use contracts::egress::EgressAllow;
use contracts::workspace::{GitSource, Image};

use crate::conformance::{Fixture, Stack, eventually};
use crate::{Expr, OwnedObject, RunStatus, RuntimeSpec};

const FILE: &str = "kept";
const TEXT: &str = "as it was";

async fn up_with_a_file(fixture: &Fixture) -> Stack {
    let mut stack = fixture.stack();
    stack.up().await;
    fixture.backdoor.write_home(&stack.runtime(), FILE, TEXT).await;
    stack
}

async fn the_file_is_there(fixture: &Fixture, stack: &Stack) {
    let (backdoor, runtime) = (&fixture.backdoor, stack.runtime());
    eventually("the home is as it was", async || {
        backdoor.read_home(&runtime, FILE).await.as_deref() == Some(TEXT)
    })
    .await;
}

async fn reads_as_its_state(stack: &Stack) {
    for name in stack.names() {
        let read = stack.read(&name).await.unwrap().expect("it exists");
        let (inputs, created) = &stack.state[&name];
        assert_eq!((read.inputs, read.outputs), (inputs.clone(), created.outputs.clone()), "{name}");
    }
}

pub async fn a_new_generation_changes_in_place_and_keeps_the_instance(fixture: &Fixture) {
    let mut stack = up_with_a_file(fixture).await;
    let objects = fixture.backdoor.objects(&stack.runtime()).await;
    stack.change_to(RuntimeSpec { generation: 2, ..stack.spec.clone() }).await;
    assert_eq!(fixture.backdoor.objects(&stack.runtime()).await, objects);
    reads_as_its_state(&stack).await;
    the_file_is_there(fixture, &stack).await;
}

fn is_needed_by_the_home(stack: &Stack, name: &str) -> bool {
    stack
        .declared
        .resources
        .iter()
        .filter(|other| other.protect)
        .any(|other| other.inputs.values().any(|input| input.references().contains(name)))
}

/// Whoever takes it for a home that is there begins an empty one without a word.
pub async fn a_home_that_was_removed_is_not_listed_as_one(fixture: &Fixture) {
    let mut stack = fixture.stack().under(Some(5));
    stack.up().await;
    // Another program takes it over: what keeps its fence may outlive the home.
    let stack = stack.under(Some(6));
    let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
    lifecycle.start(&runtime).await.unwrap();
    let inventory = fixture.provider.inventory().expect("an inventory: the witness of what is left");
    let has_home = async || inventory.list_runtime(&runtime).await.unwrap().iter().any(OwnedObject::is_home);
    assert!(has_home().await);
    for name in stack.names().iter().rev().filter(|name| !is_needed_by_the_home(&stack, name)) {
        fixture.backdoor.remove(&runtime, name).await;
    }
    assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Absent);
    assert!(!has_home().await, "{:?}", fixture.owned().await);
    assert!(!fixture.owned().await.iter().any(OwnedObject::is_home));
    stack.down().await;
    assert_eq!(fixture.owned().await, []);
}

pub async fn the_home_is_declared_as_protected_and_nothing_that_runs_is(fixture: &Fixture) {
    let mut stack = up_with_a_file(fixture).await;
    // What Pilot deletes when a workspace is deleted and its home is kept: all others, the last first.
    for name in stack.names().iter().rev().filter(|name| !stack.declaration(name).protect) {
        if !is_needed_by_the_home(&stack, name) {
            stack.delete(name).await.unwrap_or_else(|error| panic!("delete {name}: {error}"));
        }
    }
    assert!(!fixture.backdoor.runs(&stack.runtime()).await);
    let left = fixture.owned().await;
    assert!(!left.is_empty() && left.iter().all(OwnedObject::stays_with_home), "{left:?}");
    assert!(left.iter().any(OwnedObject::is_home), "{left:?}");
    stack.up().await;
    let whole = fixture.owned().await;
    assert!(whole.iter().any(OwnedObject::is_home), "{whole:?}");
    assert!(whole.iter().any(|object| !object.stays_with_home()), "{whole:?}");
    eventually("the instance runs", async || fixture.backdoor.runs(&stack.runtime()).await).await;
    the_file_is_there(fixture, &stack).await;
}

async fn keeps_the_home(fixture: &Fixture, change: impl FnOnce(&RuntimeSpec) -> RuntimeSpec) {
    let mut stack = up_with_a_file(fixture).await;
    let spec = change(&stack.spec);
    stack.change_to(RuntimeSpec { generation: 2, ..spec }).await;
    reads_as_its_state(&stack).await;
    assert_eq!(fixture.backdoor.objects(&stack.runtime()).await.len(), stack.declared.resources.len());
    eventually("the instance runs", async || fixture.backdoor.runs(&stack.runtime()).await).await;
    the_file_is_there(fixture, &stack).await;
    stack.down().await;
    assert_eq!(fixture.owned().await, []);
}

pub async fn another_git_source_keeps_the_home(fixture: &Fixture) {
    let git = GitSource { url: "https://git.example/team/app.git".to_owned(), reference: None };
    keeps_the_home(fixture, |spec| RuntimeSpec { git: Some(git), ..spec.clone() }).await;
}

pub async fn another_size_keeps_the_home(fixture: &Fixture) {
    let sizes = fixture.provider.describe().sizes;
    // With one size only there is nothing to change but the generation, which must be good as well.
    let last = sizes.last().expect("a provider has a size").name.clone();
    keeps_the_home(fixture, |spec| RuntimeSpec { size: last, ..spec.clone() }).await;
}

fn list(text: &str) -> Option<EgressAllow> {
    Some(text.parse().expect("a list"))
}

/// What it keeps out is for the module's own tests: the suite has no destinations.
pub async fn a_list_of_destinations_is_kept_and_another_one_keeps_instance_and_home(fixture: &Fixture) {
    let spec = RuntimeSpec { egress: list("203.0.113.7:443"), ..fixture.stack().spec };
    let mut stack = Stack::new(fixture.provider.clone(), spec.clone());
    stack.up().await;
    eventually("the instance runs", async || fixture.backdoor.runs(&stack.runtime()).await).await;
    reads_as_its_state(&stack).await;
    fixture.backdoor.write_home(&stack.runtime(), "kept", "yes").await;
    let told = fixture.provider.lifecycle().endpoint(&stack.runtime()).await.ok();
    for (generation, text) in [(2, "203.0.113.8,198.51.100.0/24"), (3, "none")] {
        stack.change_to(RuntimeSpec { egress: list(text), generation, ..spec.clone() }).await;
        reads_as_its_state(&stack).await;
        assert!(fixture.backdoor.runs(&stack.runtime()).await, "it goes on running");
        assert_eq!(fixture.provider.lifecycle().endpoint(&stack.runtime()).await.ok(), told);
    }
    assert_eq!(fixture.backdoor.read_home(&stack.runtime(), "kept").await.as_deref(), Some("yes"));
    stack.down().await;
    assert_eq!(fixture.owned().await, []);
}

pub async fn a_first_list_of_destinations_and_no_more_one_keep_the_home(fixture: &Fixture) {
    keeps_the_home(fixture, |spec| RuntimeSpec { egress: list("203.0.113.7"), ..spec.clone() }).await;
}

/// What the fixture's second image is now.
async fn other_image(fixture: &Fixture) -> Image {
    let reference =
        fixture.other_image.as_deref().expect("a fixture of a provider with images has a second one");
    let images = fixture.provider.images().expect("it has images");
    images.resolve(reference).await.expect("the image is there")
}

pub async fn what_an_image_is_called_is_looked_up_and_declared(fixture: &Fixture) {
    let images = fixture.provider.images().expect("it has images");
    let usual = images.resolve(&images.default_reference().unwrap()).await.unwrap();
    let other = other_image(fixture).await;
    assert_ne!(usual.exact(), other.exact());
    let of = |image: Option<&Image>| {
        let spec = RuntimeSpec { image: image.cloned(), ..fixture.stack().spec };
        let declared = fixture.provider.declare(&spec).unwrap();
        declared
            .resources
            .iter()
            .any(|one| one.inputs.values().any(|value| *value == Expr::from(other.exact())))
    };
    assert_eq!((of(Some(&other)), of(Some(&usual)), of(None)), (true, false, false));
    // Who can tell what a name means can tell that it means nothing.
    if usual.digest.is_some() {
        let exact = images.resolve(usual.exact()).await.unwrap();
        assert_eq!(exact.exact(), usual.exact(), "what is exact stays so");
        let error = images.resolve("pilot-no-such-image:0").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ImageMissing, "{error}");
    }
}

pub async fn another_image_keeps_the_home_and_what_runs_runs(fixture: &Fixture) {
    let other = other_image(fixture).await;
    keeps_the_home(fixture, |spec| RuntimeSpec { image: Some(other), ..spec.clone() }).await;
}

/// A change of what is stopped leaves it so, and it can be started then. Gives the stack, of which nothing runs before that.
async fn starts_nothing(fixture: &Fixture, change: impl FnOnce(&RuntimeSpec) -> RuntimeSpec) -> Stack {
    let mut stack = fixture.stack();
    stack.up().await;
    if fixture.provider.describe().persistent_home {
        fixture.backdoor.write_home(&stack.runtime(), FILE, TEXT).await;
    }
    let lifecycle = fixture.provider.lifecycle();
    lifecycle.stop(&stack.runtime(), Duration::from_secs(5)).await.unwrap();
    let spec = change(&stack.spec);
    stack.change_to(RuntimeSpec { generation: 2, ..spec }).await;
    let status = lifecycle.status(&stack.runtime()).await.unwrap();
    assert!(matches!(status, RunStatus::Stopped { .. }), "{status:?}");
    assert!(!fixture.backdoor.runs(&stack.runtime()).await);
    for name in stack.names() {
        let read = stack.read(&name).await;
        assert!(read.unwrap_or_else(|error| panic!("what is stopped is well: {error}")).is_some());
    }
    lifecycle.start(&stack.runtime()).await.unwrap();
    eventually("the instance runs", async || fixture.backdoor.runs(&stack.runtime()).await).await;
    stack
}

pub async fn another_git_source_starts_nothing_that_is_stopped(fixture: &Fixture) {
    let git = GitSource { url: "https://git.example/team/app.git".to_owned(), reference: None };
    starts_nothing(fixture, |spec| RuntimeSpec { git: Some(git), ..spec.clone() }).await;
}

pub async fn another_image_starts_nothing_that_is_stopped(fixture: &Fixture) {
    let image = Some(other_image(fixture).await);
    let stack = starts_nothing(fixture, |spec| RuntimeSpec { image, ..spec.clone() }).await;
    if fixture.provider.describe().persistent_home {
        the_file_is_there(fixture, &stack).await;
    }
}
