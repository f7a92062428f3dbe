//! A state file that is not what was written: nothing is done with it until a person repairs or replaces it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pulumi_auto::{Error, Options, Program, Stack, program};

use crate::support::world::World;
use crate::things::{destroy, nothing, thing, up};

fn two() -> Arc<dyn Program> {
    program(|context| async move {
        let a = context.register(thing("a", [("label", "one".into())])).await?;
        context.register(thing("b", [("label", a.output("address"))])).await?;
        Ok(nothing())
    })
}

fn checkpoint(world: &World, stack: &Stack) -> PathBuf {
    world.folder().join(format!("state/.pulumi/stacks/shop/{}.json", stack.name()))
}

/// Every file below the folder, with what is in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), std::fs::read(path).unwrap())),
        }
    }
    found
}

/// What was put aside as damaged, in all of the world.
fn aside(world: &World) -> Vec<Vec<u8>> {
    let all = files(&world.folder().join("state")).into_iter();
    all.filter(|(path, _)| path.display().to_string().contains(".json.corrupt-"))
        .map(|(_, text)| text)
        .collect()
}

#[tokio::test]
async fn a_damaged_state_is_refused_until_a_person_repairs_it_and_nothing_is_made_twice() {
    let world = World::new().await;
    let stack = world.stack("cut").await;
    up(&stack, two()).await;
    let file = checkpoint(&world, &stack);
    let (good, ids) = (std::fs::read_to_string(&file).unwrap(), world.cloud.ids());
    let broken = good[..good.len() / 2].to_owned();
    std::fs::write(&file, &broken).unwrap();
    world.cloud.forget_log();
    refuses(&world, &stack).await;
    let planned = stack.preview_repair().await.unwrap();
    assert!(planned.exact && !planned.done && planned.problem.is_some(), "{planned:?}");
    refuses(&world, &stack).await;
    assert!(stack.repair().await.unwrap().done);
    assert_eq!(aside(&world), [broken.into_bytes()]);
    let strict = Options::default().expect_no_changes(true);
    assert!(stack.up(two()).with(&strict).await.unwrap().summary.is_unchanged());
    assert_eq!((world.cloud.changes(), world.cloud.ids()), (Vec::new(), ids));
    let state = world.state(&stack);
    assert!(state.has("a") && state.has("b"));
    // Also the CLI can read it, and what is there can be deleted.
    let by_cli = world.on(world.cli.clone()).stack("cut");
    assert!(by_cli.up(two()).with(&strict).await.unwrap().summary.is_unchanged());
    assert!(matches!(by_cli.repair().await, Err(Error::NeedsHost { .. })));
    destroy(&stack).await;
    assert_eq!(world.cloud.ids(), [""; 0]);
}

/// Reads and changes alike, without a trace.
async fn refuses(world: &World, stack: &Stack) {
    let before = files(&world.folder().join("state/.pulumi/stacks"));
    for failed in [
        stack.up(two()).await.map(drop),
        stack.preview(two()).await.map(drop),
        stack.destroy(two()).await.map(drop),
        stack.export().await.map(drop),
        stack.outputs().await.map(drop),
        world.workspace.stacks(false).await.map(drop),
    ] {
        assert!(matches!(&failed, Err(Error::StateCorrupt { .. })), "{failed:?}");
    }
    assert_eq!(before, files(&world.folder().join("state/.pulumi/stacks")));
}

#[tokio::test]
async fn a_state_of_a_newer_pulumi_is_refused_by_readers_and_changes_and_left_as_it_is() {
    let world = World::new().await;
    let stack = world.stack("newer").await;
    up(&stack, two()).await;
    let file = checkpoint(&world, &stack);
    let good = std::fs::read_to_string(&file).unwrap();
    let newer = good.replacen("\"manifest\":", "\"novel\":[],\"manifest\":", 1);
    assert_ne!(newer, good);
    std::fs::write(&file, &newer).unwrap();
    for failed in [
        stack.up(two()).await.map(drop),
        stack.destroy(two()).await.map(drop),
        stack.outputs().await.map(drop),
        stack.repair().await.map(drop),
    ] {
        assert!(
            matches!(&failed, Err(Error::StateNewer { message, .. }) if message.contains("novel")),
            "{failed:?}"
        );
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), newer);
}

#[tokio::test]
async fn a_damaged_state_can_be_replaced_by_an_import_and_is_kept() {
    let world = World::new().await;
    let stack = world.stack("replaced").await;
    up(&stack, two()).await;
    let exported = stack.export().await.unwrap();
    std::fs::write(checkpoint(&world, &stack), "garbage").unwrap();
    stack.import(&exported).await.unwrap();
    assert_eq!(aside(&world), [b"garbage".to_vec()]);
    assert!(up(&stack, two()).await.summary.is_unchanged());
}

#[tokio::test]
async fn a_stack_whose_every_copy_is_broken_is_left_alone_with_all_that_it_has() {
    let world = World::new().await;
    let (stack, other) = (world.stack("frozen").await, world.stack("other").await);
    for stack in [&stack, &stack, &other] {
        up(stack, two()).await;
    }
    let state = world.folder().join("state");
    let is_copy = |path: &Path| {
        let path = path.display().to_string();
        path.contains("/frozen") && !path.ends_with(".attrs")
    };
    for (path, text) in files(&state).into_iter().filter(|(path, _)| is_copy(path)) {
        std::fs::write(path, &text[..text.len() / 2]).unwrap();
    }
    let (before, ids) = (files(&state), world.cloud.ids());
    world.cloud.forget_log();
    for failed in [
        stack.up(two()).await.map(drop),
        stack.preview(two()).await.map(drop),
        stack.destroy(two()).await.map(drop),
    ] {
        assert!(matches!(&failed, Err(Error::StateCorrupt { stack, .. }) if stack == "frozen"), "{failed:?}");
    }
    assert_eq!((world.cloud.changes(), world.cloud.ids()), (Vec::new(), ids));
    let after = files(&state);
    let changed: Vec<_> =
        after.keys().chain(before.keys()).filter(|path| after.get(*path) != before.get(*path)).collect();
    assert!(changed.is_empty(), "{changed:?}");
    assert!(up(&other, two()).await.summary.is_unchanged());
}
