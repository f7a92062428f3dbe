//! The suite that every provider passes, against real processes of this machine.

#[path = "support/world.rs"]
mod world;

provider_api::conformance_tests!(
    world::fixture,
    without[Push, Registry, Egress, Refuses, Faults, Filling, Watch, Suspend, Shared, Images, Fork, Sites, Credential, Fewer, Failing]
);
