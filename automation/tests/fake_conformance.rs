//! The conformance suite on the fake engine.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "conformance/conformance.rs"]
mod conformance;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use conformance::{Subject, conformance};
use pulumi_auto::fake::HoldGuard;
use pulumi_auto::{FakeEngine, Workspace};

struct Fake {
    engine: FakeEngine,
    workspace: Workspace,
    held: Mutex<HashMap<String, Arc<HoldGuard>>>,
}

#[async_trait::async_trait]
impl Subject for Fake {
    async fn new() -> Self {
        let engine = FakeEngine::new();
        let workspace = Workspace::temporary(engine.clone(), "shop").unwrap();
        Self { engine, workspace, held: Mutex::default() }
    }

    fn workspace(&self) -> Workspace {
        self.workspace.clone()
    }

    fn refuse(&self, name: &str, why: &str) {
        self.engine.fail(name, why);
    }

    fn hold(&self, name: &str) {
        let held = Arc::new(self.engine.hold(name));
        self.held.lock().unwrap().insert(name.to_owned(), held);
    }

    async fn reached(&self, name: &str) {
        let held = Arc::clone(&self.held.lock().unwrap()[name]);
        held.reached().await;
    }

    fn release(&self, name: &str) {
        self.held.lock().unwrap().remove(name);
    }
}

conformance!(Fake);
