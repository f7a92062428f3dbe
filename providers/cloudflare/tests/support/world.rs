//! The suite's world with the `pilot-instance` that was built beside these tests.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]
#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]

use std::path::{Path, PathBuf};

use provider_api::conformance::Fixture;
pub use provider_cloudflare::conformance::{OPENCODE_IMAGE, TOKEN, World};

fn init() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("pilot-instance")
}

pub async fn start() -> World {
    World::start(&init()).await
}

pub async fn fixture() -> Fixture {
    provider_cloudflare::conformance::fixture(&init()).await
}

pub async fn fresh_fixture() -> Fixture {
    provider_cloudflare::conformance::fresh_fixture(&init()).await
}

pub async fn keeping_fixture() -> Fixture {
    provider_cloudflare::conformance::keeping_fixture(&init()).await
}

pub async fn with(change: impl FnOnce(&mut sim_cloudflare::Options)) -> World {
    World::with(&init(), change).await
}

pub fn build_opencode_image() {
    provider_cloudflare::conformance::build_opencode_image(&init());
}
