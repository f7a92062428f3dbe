//! Homes that cannot be copied: what is told, and that nothing is changed then.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/world.rs"]
mod world;

use std::fs;
use std::path::Path;

use provider_api::conformance::run;
use provider_api::{ProviderError, RunStatus, Take, Told};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, open, openat};
use world::world;

/// Deeper than a system call can name, as a loop of a program makes it.
fn make_deep(folder: &Path) {
    let (mode, flags) = (Mode::RWXU, OFlags::DIRECTORY | OFlags::RDONLY);
    let (mut at, name) = (open(folder, flags, mode).unwrap(), "d".repeat(200));
    for _ in 0..25 {
        mkdirat(&at, &name, mode).unwrap();
        at = openat(&at, &name, flags, mode).unwrap();
    }
    openat(&at, "file", OFlags::CREATE | OFlags::WRONLY, mode).unwrap();
    assert!(openat(CWD, folder.join(&name), flags, mode).is_ok());
}

fn names_the_path(error: &ProviderError) {
    let words = ["too long to be copied", "bytes, where", "ddd"];
    assert!(words.iter().all(|word| error.message.contains(word)), "{error}");
    assert!(error.message.len() < 400 && error.action.is_some(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_too_long_to_be_copied_is_named_by_a_take_and_by_a_restore() {
    let world = world();
    let root = world.config().root;
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
        let (snapshots, folder) =
            (fixture.provider.snapshots().unwrap(), root.join(runtime.runtime_id.as_str()));
        snapshots.take(&runtime, &Take::of("then")).await.unwrap();
        snapshots.has_room(&runtime, "then").await.unwrap();
        make_deep(&folder.join("home"));
        names_the_path(&snapshots.take(&runtime, &Take::of("now")).await.unwrap_err());
        names_the_path(&snapshots.has_room(&runtime, "then").await.unwrap_err());
        assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Running);
        let listed = snapshots.list(&runtime).await.unwrap();
        assert_eq!(listed.into_iter().map(|each| each.id).collect::<Vec<_>>(), ["then"]);

        // One that was taken somewhere else, and is too deep here.
        fs::remove_dir_all(folder.join("home").join("d".repeat(200))).unwrap();
        make_deep(&folder.join("snapshots/then/home"));
        fs::write(folder.join("home/kept"), "of now").unwrap();
        lifecycle.stop(&runtime, std::time::Duration::from_secs(5)).await.unwrap();
        names_the_path(&snapshots.restore(&runtime, "then", &Told::nobody()).await.unwrap_err());
        assert_eq!(fs::read_to_string(folder.join("home/kept")).unwrap(), "of now");
        assert!(!folder.join("restoring").exists());
        stack.down().await;
    })
    .await;
}
