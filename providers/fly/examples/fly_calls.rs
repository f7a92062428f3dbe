//! How many calls Fly sees for one create, told by the simulator. Prints a JSON object; `cargo xtask bench
//! provider` reads it.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::sync::Arc;

use contracts::RuntimeId;
use provider_api::conformance::Stack;
use provider_api::{Provider, RuntimeSpec};
use provider_fly::conformance::World;
use serde_json::json;
use sim_fly::RunnerKind;

#[tokio::main]
async fn main() {
    // Calls are counted, so machines need not run.
    let world = World::with(|settings| settings.runner = RunnerKind::Records).await;
    println!("{}", json!({"fly_create_calls": create(&world).await}));
}

/// Of a program that has made another one before.
async fn create(world: &World) -> usize {
    let provider: Arc<dyn Provider> = world.provider();
    let described = provider.describe();
    let spec = || RuntimeSpec {
        region: Some(described.regions[0].name.clone()),
        ..RuntimeSpec::new(RuntimeId::random(), world.installation.clone(), described.sizes[0].name.clone())
    };
    Stack::new(provider.clone(), spec()).up().await;
    world.sim.forget_requests();
    Stack::new(provider.clone(), spec()).up().await;
    world.actions().len()
}
