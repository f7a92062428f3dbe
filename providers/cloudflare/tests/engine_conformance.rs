//! The suite that every provider passes, against a simulated account whose Workers and containers run.

#[path = "support/world.rs"]
mod world;

provider_api::conformance_tests!(world::fixture, without [Push, Registry, Egress, Filling, Watch, Suspend, PersistentHome, Images, Logs, Exec, Snapshots, Rewind, Fork, Failing]);

/// A new host name and the first containers of an account are there after a while only.
mod at_a_fresh_account {
    use super::world;

    provider_api::conformance_tests!(world::fresh_fixture, without [Push, Registry, Egress, Filling, Watch, Suspend, PersistentHome, Images, Logs, Exec, Snapshots, Rewind, Fork, Failing]);
}

/// With the scheduling policy `durable_object`.
mod at_an_account_that_keeps_file_systems {
    use super::world;

    provider_api::conformance_tests!(world::keeping_fixture, without [Registry, Egress, Filling, Watch, Suspend, Logs, Exec, Fork, Fewer, Failing]);
}
