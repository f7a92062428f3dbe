//! The suite that every provider passes, against the simulator with instances that run.

#[path = "support/world.rs"]
mod world;

provider_api::conformance_tests!(world::fixture, without [Registry, Egress, Refuses, Filling, Watch, Shared, Logs, Rewind]);

/// With Fly's rates, with deletions that take their time, and reached by a private address.
mod as_strict_as_fly {
    use super::world;

    provider_api::conformance_tests!(world::strict_fixture, without [Registry, Egress, Refuses, Filling, Watch, Shared, Logs, Rewind]);
}
