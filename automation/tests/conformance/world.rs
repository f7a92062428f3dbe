//! A world as a subject, on whatever engine it runs.

use pulumi_auto::Workspace;

use crate::conformance::Subject;
use crate::support::world::World;

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
