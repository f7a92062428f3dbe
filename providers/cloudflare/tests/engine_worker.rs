//! The Worker's own checks: its types, and the tests of its parts, with what its lock file pins.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use std::path::PathBuf;
use std::process::Command;

fn worker() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/worker"))
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("node is installed");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    said.into_owned()
}

#[test]
fn every_type_of_the_worker_is_right() {
    let cache = sim_cloudflare::options::tools();
    let packages = cache.with_file_name("cloudflare-worker-types-5.9.3/node_modules");
    let compiler = packages.join("typescript/bin/tsc");
    assert!(compiler.exists(), "{} is missing: run `cargo xtask tools --tests`", compiler.display());
    // Packages are looked for above the sources, so these lie beside them.
    let folder = tempfile::tempdir().unwrap();
    succeeds(Command::new("cp").arg("-r").arg(worker().join("src")).arg(folder.path()));
    std::fs::copy(worker().join("tsconfig.json"), folder.path().join("tsconfig.json")).unwrap();
    std::os::unix::fs::symlink(&packages, folder.path().join("node_modules")).unwrap();
    succeeds(Command::new("node").arg(&compiler).arg("--project").arg(folder.path()));
}

#[test]
fn the_parts_of_the_worker_pass_their_tests() {
    let said = succeeds(Command::new("node").args(["--test", "test/"]).current_dir(worker()));
    let passed =
        said.lines().find_map(|line| line.strip_prefix("# pass ")).and_then(|count| count.parse().ok());
    assert!(passed.is_some_and(|count: u32| count >= 10), "{said}");
}
