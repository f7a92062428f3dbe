//! A state file that is not what was written: it is mended from a good copy, and without one nothing is
//! done at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use automation::{Error, Options, Program, Stack, program};

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

/// Damages the state file, as a bad disk does: in place.
async fn is_mended(name: &str, damage: impl Fn(&str) -> String) {
    let world = World::new().await;
    let stack = world.stack(name).await;
    up(&stack, two()).await;
    let file = checkpoint(&world, &stack);
    let (good, ids) = (std::fs::read_to_string(&file).unwrap(), world.cloud.ids());
    let broken = damage(&good);
    assert_ne!(broken, good);
    std::fs::write(&file, &broken).unwrap();
    world.cloud.forget_log();
    let strict = Options { expect_no_changes: true, ..Options::default() };
    assert!(stack.up(two(), &strict).await.unwrap().summary.is_unchanged());
    assert_eq!((world.cloud.changes(), world.cloud.ids()), (Vec::new(), ids));
    assert_eq!(aside(&world), [broken.into_bytes()]);
    let state = world.state(&stack);
    assert!(state.has("a") && state.has("b"));
    // Also the CLI can read it, and what is there can be deleted.
    let by_cli = world.on(world.cli.clone()).stack(name);
    assert!(by_cli.up(two(), &strict).await.unwrap().summary.is_unchanged());
    destroy(&stack).await;
    assert_eq!(world.cloud.ids(), [""; 0]);
}

#[tokio::test]
async fn a_state_file_that_is_cut_off_is_restored_and_nothing_is_made_twice() {
    is_mended("cut", |good| good[..good.len() / 2].to_owned()).await;
}

#[tokio::test]
async fn a_state_file_with_one_other_value_is_restored_and_nothing_is_made_twice() {
    is_mended("flipped", |good| {
        assert!(good.contains("\"id\":\"a-1\""), "{good}");
        good.replace("\"id\":\"a-1\"", "\"id\":\"a-3\"")
    })
    .await;
}

#[tokio::test]
async fn whoever_only_reads_a_damaged_state_file_sees_what_was_there() {
    let world = World::new().await;
    let stack = world.stack("read").await;
    up(&stack, two()).await;
    let file = checkpoint(&world, &stack);
    let (good, before) = (std::fs::read(&file).unwrap(), stack.export().await.unwrap());
    for length in [0, 1, good.len() / 3, good.len() - 2] {
        std::fs::write(&file, &good[..length]).unwrap();
        assert_eq!(stack.export().await.unwrap().resources(), before.resources(), "{length}");
        std::fs::write(&file, &good[..length]).unwrap();
        let strict = Options { expect_no_changes: true, ..Options::default() };
        stack.preview(two(), &strict).await.unwrap();
        std::fs::write(&file, &good[..length]).unwrap();
        assert!(stack.outputs().await.unwrap().is_empty(), "{length}");
        std::fs::write(&file, &good[..length]).unwrap();
        assert_eq!(world.workspace.stacks(false).await.unwrap().len(), 1, "{length}");
    }
    assert_eq!(world.cloud.changes(), ["create a", "create b"]);
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
    let options = Options::default();
    for failed in [
        stack.up(two(), &options).await.map(drop),
        stack.preview(two(), &options).await.map(drop),
        stack.destroy(two(), &options).await.map(drop),
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
