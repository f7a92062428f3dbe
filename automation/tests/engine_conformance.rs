//! The conformance suite on the real Pulumi CLI, with a cloud of the tests' own.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "conformance/conformance.rs"]
mod conformance;
#[path = "support/support.rs"]
mod support;

use automation::Workspace;
use conformance::{Subject, conformance};
use support::world::World;

#[async_trait::async_trait]
impl Subject for World {
    async fn new() -> Self {
        World::new().await
    }

    fn workspace(&self) -> Workspace {
        self.workspace.clone()
    }

    fn refuse(&self, _: &str, _: &str) {
        // The cloud refuses whatever has the input `fail`.
    }

    fn hold(&self, name: &str) {
        self.cloud.hold(name);
    }

    async fn reached(&self, name: &str) {
        self.cloud.until("create", name).await;
    }

    fn release(&self, name: &str) {
        self.cloud.release(name);
    }
}

conformance!(World);
