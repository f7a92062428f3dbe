//! Worlds whose instances are the stand-in of this crate.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::Path;

use provider_api::RuntimeRef;
use provider_api::conformance::Fixture;
use provider_local::conformance::World;

const STAND_IN: &str = env!("CARGO_BIN_EXE_stand-in-instance");

pub fn world() -> World {
    World::new(STAND_IN, STAND_IN)
}

pub async fn fixture() -> Fixture {
    world().fixture()
}

pub fn named(runtime: &RuntimeRef) -> Vec<i32> {
    provider_local::conformance::named(Path::new(STAND_IN), runtime)
}

pub fn leaders(runtime: &RuntimeRef) -> Vec<i32> {
    provider_local::conformance::leaders(Path::new(STAND_IN), runtime)
}
