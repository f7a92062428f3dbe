//! The suite's world with the stand-in of this crate.

#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]

use std::path::Path;

use std::sync::Arc;

use contracts::RuntimeId;
use provider_api::conformance::{Fixture, Stack};
use provider_api::{Provider, RuntimeSpec};
pub use provider_fly::conformance::{World, app};

const STAND_IN: &str = env!("CARGO_BIN_EXE_fly-stand-in");

pub async fn new() -> World {
    World::new(Path::new(STAND_IN)).await
}

pub async fn strict_fixture() -> Fixture {
    provider_fly::conformance::strict_fixture(Path::new(STAND_IN)).await
}

pub async fn fixture() -> Fixture {
    provider_fly::conformance::fixture(Path::new(STAND_IN)).await
}

/// Of a runtime of its own.
pub fn stack_in(world: &World, provider: &Arc<dyn Provider>, region: &str) -> Stack {
    let spec = RuntimeSpec {
        region: Some(region.to_owned()),
        ..RuntimeSpec::new(RuntimeId::random(), world.installation.clone(), "small")
    };
    Stack::new(provider.clone(), spec)
}
