//! Fly's own Go library works with the simulator: a client that nobody here wrote.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/world.rs"]
mod world;

use std::path::Path;
use std::process::Command;

use world::World;

#[tokio::test(flavor = "multi_thread")]
async fn flys_own_go_library_walks_through_the_life_of_a_machine() {
    let program = tempfile::tempdir().unwrap();
    let binary = program.path().join("walk");
    let built = Command::new("go")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("client"))
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0")
        .args(["build", "-trimpath", "-o"])
        .arg(&binary)
        .arg(".")
        .output()
        .expect("no Go: these tests need it, see https://go.dev/doc/install");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let world = World::running().await;
    let walked = tokio::process::Command::new(binary)
        .env("FLY_FLAPS_BASE_URL", world.sim.api_url())
        .env("FLY_TOKEN", "sim-token")
        .output()
        .await
        .unwrap();
    let (said, failed) = (String::from_utf8_lossy(&walked.stdout), String::from_utf8_lossy(&walked.stderr));
    assert!(walked.status.success() && said.ends_with("done\n"), "{said}{failed}");
}
