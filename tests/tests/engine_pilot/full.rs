//! Homes whose disk is full: what their users are told, while it runs and where it cannot boot. The disk is one in memory.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::world::World;

const MIB: u64 = 1 << 20;

struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, mib: u64) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={mib}m,mode=700");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output().unwrap();
        assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
        Self(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Writes until nothing more fits.
fn fill(file: &Path) {
    let _ =
        Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}", file.display())).output();
}

#[tokio::test]
async fn a_home_that_is_full_is_told_while_it_runs_and_when_it_cannot_boot_for_that() {
    let mut world = World::start().await;
    let disk = Disk::mount(&world.data.join("local"), 256);
    let demo = world.api.create_ready("demo", "local").await;
    let get: Value = serde_json::from_str(&world.pilot(&["ws", "get", "demo", "--json"])).unwrap();
    let free = get["disk"]["free"].as_u64().unwrap();
    assert_eq!(get["disk"]["size"], 256 * MIB, "{get:#}");
    assert!(free > 100 * MIB && free < 256 * MIB, "{free}");
    assert!(!world.pilot(&["ws", "why", "demo"]).contains("Its home is"));

    let home = disk.0.join(demo["runtimeId"].as_str().unwrap()).join("home");
    fill(&home.join("large"));
    let said = world.pilot(&["ws", "get", "demo"]);
    assert!(said.contains("full: 0 MiB of 256 MiB free on its disk"), "{said}");
    assert!(world.pilot(&["ws", "why", "demo"]).contains("Its home is full"));

    world.api.succeeded(&world.api.change("demo", "stop").await).await;
    fill(&home.join("more"));
    let start = world.api.ended(&world.api.change("demo", "start").await).await;
    assert_eq!(
        (&start["state"], &start["error"]["code"]),
        (&json!("failed"), &json!("store_full")),
        "{start:#}"
    );
    // What it asks for helps.
    std::fs::remove_file(home.join("large")).unwrap();
    world.api.succeeded(&world.api.change("demo", "start").await).await;
    world.api.succeeded(&world.api.delete("demo").await).await;
    world.terminate();
}
