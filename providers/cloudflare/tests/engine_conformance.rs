//! The suite that every provider passes, against a simulated account whose Workers and containers run.

#[path = "support/world.rs"]
mod world;

provider_api::conformance_tests!(world::fixture, without [Registry, Filling, Watch, Suspend, PersistentHome, Images, Logs, Exec, Snapshots, Rewind, Fork]);
