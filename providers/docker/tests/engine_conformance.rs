//! The suite that every provider passes, against the Docker engine of this machine. Without an engine
//! these tests fail; they are never skipped.

#[path = "support/world.rs"]
mod world;

provider_api::conformance_tests!(world::bench, without [Faults, Snapshots, Credential]);
