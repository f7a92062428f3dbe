//! The suite's world with the stand-in of this crate.

#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]

use std::path::Path;

use provider_api::conformance::Bench;
pub use provider_fly::conformance::{World, app};

const STAND_IN: &str = env!("CARGO_BIN_EXE_fly-stand-in");

pub async fn new() -> World {
    World::new(Path::new(STAND_IN)).await
}

pub async fn bench() -> Bench {
    provider_fly::conformance::bench(Path::new(STAND_IN)).await
}
