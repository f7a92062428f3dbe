//! A small disk of its own for a data folder, which root alone can mount.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

#[path = "support/world.rs"]
mod world;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use contracts::ErrorCode;
use provider_api::conformance::run;
use provider_api::{RunStatus, Take, Told};
use world::world;

/// In memory, and gone when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, mib: u32) -> Self {
        mount(&["-t", "tmpfs", "-o", &format!("size={mib}m,mode=700"), "tmpfs"], at);
        Self(at.to_owned())
    }

    fn grow(&self, mib: u32) {
        mount(&["-o", &format!("remount,size={mib}m")], &self.0);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn mount(words: &[&str], at: &Path) {
    let said = Command::new("mount").args(words).arg(at).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_has_no_room_is_refused_with_numbers_while_the_instance_runs() {
    let world = world();
    let disk = Disk::mount(world.root.path(), 48);
    let root = world.config().root;
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
        let (snapshots, home) =
            (fixture.provider.snapshots().unwrap(), root.join(runtime.runtime_id.as_str()).join("home"));
        std::fs::write(home.join("large"), vec![1; 15 << 20]).unwrap();
        snapshots.take(&runtime, &Take::of("then")).await.unwrap();
        // Two more would need 30, and 18 are left.
        let error = snapshots.has_room(&runtime, "then").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::StoreFull, "{error}");
        assert!(error.message.contains("needs 31 MiB, and 18 MiB are free"), "{error}");
        assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Running);

        disk.grow(96);
        snapshots.has_room(&runtime, "then").await.unwrap();
        lifecycle.stop(&runtime, Duration::from_secs(5)).await.unwrap();
        snapshots.restore(&runtime, "then", &Told::nobody()).await.unwrap();
        stack.down().await;
    })
    .await;
}
