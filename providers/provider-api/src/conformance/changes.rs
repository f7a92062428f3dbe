//! Cases about changes of what exists: in place, or by another instance with the same home.

use contracts::workspace::GitSource;

use crate::RuntimeSpec;
use crate::conformance::{Bench, Stack, eventually};

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
