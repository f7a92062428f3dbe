//! The suite that every provider passes, against the simulator with instances that run.

#[path = "support/world.rs"]
mod world;

provider_api::conformance_tests!(world::bench, without [Shared, Logs]);
