//! The suite that every provider passes, against a simulated account whose Workers and containers run.

#[path = "support/world.rs"]
mod world;

provider_api::conformance_tests!(world::bench, without [Suspend, PersistentHome, Images, Logs, Exec, Snapshots]);

/// A new host name and the first containers of an account are there after a while only.
mod at_a_fresh_account {
    use super::world;

    provider_api::conformance_tests!(world::fresh_bench, without [Suspend, PersistentHome, Images, Logs, Exec, Snapshots]);
}
