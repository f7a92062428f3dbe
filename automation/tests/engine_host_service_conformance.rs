//! The conformance suite on the engine host, with stacks that a Pulumi service keeps.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "conformance/conformance.rs"]
mod conformance;
#[path = "conformance/world.rs"]
mod subject;
#[path = "support/hosted_served.rs"]
mod support;

use conformance::conformance;
use support::world::World;

conformance!(World);
