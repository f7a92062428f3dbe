//! Cases about changes of what exists: in place, or by another instance with the same home.

use std::time::Duration;

use contracts::ErrorCode;
use contracts::workspace::GitSource;

use crate::conformance::{Bench, Stack, eventually};
use crate::{Expr, OwnedObject, RunStatus, RuntimeSpec};

const FILE: &str = "kept";
const TEXT: &str = "as it was";

async fn up_with_a_file(bench: &Bench) -> Stack {
    let mut stack = bench.stack();
    stack.up().await;
    bench.hands.write_home(&stack.runtime(), FILE, TEXT).await;
    stack
}

async fn the_file_is_there(bench: &Bench, stack: &Stack) {
    let (hands, runtime) = (&bench.hands, stack.runtime());
    eventually("the home is as it was", async || {
        hands.read_home(&runtime, FILE).await.as_deref() == Some(TEXT)
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

pub async fn a_new_generation_changes_in_place_and_keeps_the_instance(bench: &Bench) {
    let mut stack = up_with_a_file(bench).await;
    let objects = bench.hands.objects(&stack.runtime()).await;
    stack.change_to(RuntimeSpec { generation: 2, ..stack.spec.clone() }).await;
    assert_eq!(bench.hands.objects(&stack.runtime()).await, objects);
    reads_as_its_state(&stack).await;
    the_file_is_there(bench, &stack).await;
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
pub async fn a_home_that_was_removed_is_not_listed_as_one(bench: &Bench) {
    let mut stack = bench.stack().under(Some(5));
    stack.up().await;
    // Another program takes it over: what keeps its fence may outlive the home.
    let stack = stack.under(Some(6));
    let (runtime, lifecycle) = (stack.runtime(), bench.provider.lifecycle());
    lifecycle.start(&runtime).await.unwrap();
    let inventory = bench.provider.inventory().expect("an inventory: the witness of what is left");
    let has_home = async || inventory.list_of(&runtime).await.unwrap().iter().any(OwnedObject::is_home);
    assert!(has_home().await);
    for name in stack.names().iter().rev().filter(|name| !is_needed_by_the_home(&stack, name)) {
        bench.hands.remove(&runtime, name).await;
    }
    assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Absent);
    assert!(!has_home().await, "{:?}", bench.owned().await);
    assert!(!bench.owned().await.iter().any(OwnedObject::is_home));
    stack.down().await;
    assert_eq!(bench.owned().await, []);
}

pub async fn the_home_is_declared_as_protected_and_nothing_that_runs_is(bench: &Bench) {
    let mut stack = up_with_a_file(bench).await;
    // What Pilot deletes when a workspace is deleted and its home is kept: all others, the last first.
    for name in stack.names().iter().rev().filter(|name| !stack.declaration(name).protect) {
        if !is_needed_by_the_home(&stack, name) {
            stack.delete(name).await.unwrap_or_else(|error| panic!("delete {name}: {error}"));
        }
    }
    assert!(!bench.hands.runs(&stack.runtime()).await);
    let left = bench.owned().await;
    assert!(!left.is_empty() && left.iter().all(OwnedObject::stays_with_home), "{left:?}");
    assert!(left.iter().any(OwnedObject::is_home), "{left:?}");
    stack.up().await;
    let whole = bench.owned().await;
    assert!(whole.iter().any(OwnedObject::is_home), "{whole:?}");
    assert!(whole.iter().any(|object| !object.stays_with_home()), "{whole:?}");
    eventually("the instance runs", async || bench.hands.runs(&stack.runtime()).await).await;
    the_file_is_there(bench, &stack).await;
}

async fn keeps_the_home(bench: &Bench, change: impl FnOnce(&RuntimeSpec) -> RuntimeSpec) {
    let mut stack = up_with_a_file(bench).await;
    let spec = change(&stack.spec);
    stack.change_to(RuntimeSpec { generation: 2, ..spec }).await;
    reads_as_its_state(&stack).await;
    assert_eq!(bench.hands.objects(&stack.runtime()).await.len(), stack.declared.resources.len());
    eventually("the instance runs", async || bench.hands.runs(&stack.runtime()).await).await;
    the_file_is_there(bench, &stack).await;
    stack.down().await;
    assert_eq!(bench.owned().await, []);
}

pub async fn another_git_source_keeps_the_home(bench: &Bench) {
    let git = GitSource { url: "https://git.example/team/app.git".to_owned(), reference: None };
    keeps_the_home(bench, |spec| RuntimeSpec { git: Some(git), ..spec.clone() }).await;
}

pub async fn another_size_keeps_the_home(bench: &Bench) {
    let sizes = bench.provider.describe().sizes;
    // With one size only there is nothing to change but the generation, which must be good as well.
    let last = sizes.last().expect("a provider has a size").name.clone();
    keeps_the_home(bench, |spec| RuntimeSpec { size: last, ..spec.clone() }).await;
}

/// As somebody names it, and as it is declared.
async fn other_image(bench: &Bench) -> String {
    let reference = bench.other_image.as_deref().expect("a bench of a provider with images has a second one");
    let images = bench.provider.images().expect("it has images");
    images.look_up(reference).await.expect("the image is there").exact().to_owned()
}

pub async fn what_an_image_is_called_is_looked_up_and_declared(bench: &Bench) {
    let images = bench.provider.images().expect("it has images");
    let usual = images.look_up(&images.usual().unwrap()).await.unwrap();
    let other = other_image(bench).await;
    assert_ne!(usual.exact(), other);
    let of = |image: Option<&str>| {
        let spec = RuntimeSpec { image: image.map(str::to_owned), ..bench.stack().spec };
        let declared = bench.provider.declare(&spec).unwrap();
        declared
            .resources
            .iter()
            .any(|one| one.inputs.values().any(|value| *value == Expr::from(other.as_str())))
    };
    assert_eq!((of(Some(&other)), of(Some(usual.exact())), of(None)), (true, false, false));
    // Who can tell what a name means can tell that it means nothing.
    if usual.digest.is_some() {
        let exact = images.look_up(usual.exact()).await.unwrap();
        assert_eq!(exact.exact(), usual.exact(), "what is exact stays so");
        let error = images.look_up("pilot-no-such-image:0").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ImageMissing, "{error}");
    }
}

pub async fn another_image_keeps_the_home_and_what_runs_runs(bench: &Bench) {
    let other = other_image(bench).await;
    keeps_the_home(bench, |spec| RuntimeSpec { image: Some(other), ..spec.clone() }).await;
}

/// A change of what is stopped leaves it so, and it can be started then. Gives the stack, of which nothing runs before that.
async fn starts_nothing(bench: &Bench, change: impl FnOnce(&RuntimeSpec) -> RuntimeSpec) -> Stack {
    let mut stack = bench.stack();
    stack.up().await;
    if bench.provider.describe().persistent_home {
        bench.hands.write_home(&stack.runtime(), FILE, TEXT).await;
    }
    let lifecycle = bench.provider.lifecycle();
    lifecycle.stop(&stack.runtime(), Duration::from_secs(5)).await.unwrap();
    let spec = change(&stack.spec);
    stack.change_to(RuntimeSpec { generation: 2, ..spec }).await;
    let status = lifecycle.status(&stack.runtime()).await.unwrap();
    assert!(matches!(status, RunStatus::Stopped { .. }), "{status:?}");
    assert!(!bench.hands.runs(&stack.runtime()).await);
    lifecycle.start(&stack.runtime()).await.unwrap();
    eventually("the instance runs", async || bench.hands.runs(&stack.runtime()).await).await;
    stack
}

pub async fn another_git_source_starts_nothing_that_is_stopped(bench: &Bench) {
    let git = GitSource { url: "https://git.example/team/app.git".to_owned(), reference: None };
    starts_nothing(bench, |spec| RuntimeSpec { git: Some(git), ..spec.clone() }).await;
}

pub async fn another_image_starts_nothing_that_is_stopped(bench: &Bench) {
    let image = Some(other_image(bench).await);
    let stack = starts_nothing(bench, |spec| RuntimeSpec { image, ..spec.clone() }).await;
    if bench.provider.describe().persistent_home {
        the_file_is_there(bench, &stack).await;
    }
}
