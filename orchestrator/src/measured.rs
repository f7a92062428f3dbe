//! Modules as operators see them: what is asked of a runtime's state is measured here, and what changes it traced. Calls of
//! resources are seen where Pulumi makes them, in the provider server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::workspace::{Endpoint, ProviderCapabilities};
use contracts::{InstallationId, ProviderName, RuntimeId};
use futures_util::StreamExt as _;
use provider_api::error::Result;
use provider_api::{
    Declared, Description, Exec, Finding, Images, Inventory, Lifecycle, Logs, Provider, Resource, RunStatus,
    RuntimeRef, RuntimeSpec, Sites, Snapshots, Statuses,
};
use provider_server::calls::Call;

/// A module that is the same in everything.
pub struct Measured {
    name: ProviderName,
    provider: Arc<dyn Provider>,
}

impl Measured {
    pub fn new(provider: Arc<dyn Provider>) -> Self {
        Self { name: provider.describe().name, provider }
    }

    pub fn name(&self) -> &ProviderName {
        &self.name
    }
}

struct MeasuredLifecycle {
    provider: ProviderName,
    lifecycle: Arc<dyn Lifecycle>,
}

impl MeasuredLifecycle {
    fn call(&self, method: &'static str) -> Call {
        Call::lifecycle(&self.provider, method)
    }
}

#[async_trait]
impl Lifecycle for MeasuredLifecycle {
    async fn start(&self, runtime: &RuntimeRef) -> Result<()> {
        self.call("start").traced(self.lifecycle.start(runtime)).await
    }

    async fn stop(&self, runtime: &RuntimeRef, grace: Duration) -> Result<()> {
        self.call("stop").traced(self.lifecycle.stop(runtime, grace)).await
    }

    async fn suspend(&self, runtime: &RuntimeRef) -> Result<()> {
        self.call("suspend").traced(self.lifecycle.suspend(runtime)).await
    }

    async fn resume(&self, runtime: &RuntimeRef) -> Result<()> {
        self.call("resume").traced(self.lifecycle.resume(runtime)).await
    }

    async fn status(&self, runtime: &RuntimeRef) -> Result<RunStatus> {
        self.call("status").measured(self.lifecycle.status(runtime)).await
    }

    fn status_many(&self, installation: InstallationId, runtimes: Vec<RuntimeId>) -> Statuses<'_> {
        self.call("status_many")
            .measured_to_its_end(self.lifecycle.status_many(installation, runtimes))
            .boxed()
    }

    async fn endpoint(&self, runtime: &RuntimeRef) -> Result<Endpoint> {
        self.call("endpoint").measured(self.lifecycle.endpoint(runtime)).await
    }
}

#[async_trait]
impl Provider for Measured {
    fn describe(&self) -> Description {
        self.provider.describe()
    }

    fn declare(&self, runtime: &RuntimeSpec) -> Result<Declared> {
        self.provider.declare(runtime)
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        self.provider.resources()
    }

    fn lifecycle(&self) -> Arc<dyn Lifecycle> {
        let (provider, lifecycle) = (self.name.clone(), self.provider.lifecycle());
        Arc::new(MeasuredLifecycle { provider, lifecycle })
    }

    async fn ready(&self) -> Result<()> {
        self.provider.ready().await
    }

    async fn examine(&self, installation: &InstallationId) -> Vec<Finding> {
        self.provider.examine(installation).await
    }

    fn shared(&self, installation: &InstallationId) -> Result<Declared> {
        self.provider.shared(installation)
    }

    fn concurrency(&self) -> usize {
        self.provider.concurrency()
    }

    fn is_shared(&self) -> bool {
        self.provider.is_shared()
    }

    fn sites(&self) -> Option<Arc<dyn Sites>> {
        self.provider.sites()
    }

    fn images(&self) -> Option<Arc<dyn Images>> {
        self.provider.images()
    }

    fn logs(&self) -> Option<Arc<dyn Logs>> {
        self.provider.logs()
    }

    fn exec(&self) -> Option<Arc<dyn Exec>> {
        self.provider.exec()
    }

    fn snapshots(&self) -> Option<Arc<dyn Snapshots>> {
        self.provider.snapshots()
    }

    fn capabilities(&self) -> ProviderCapabilities {
        self.provider.capabilities()
    }

    fn inventory(&self) -> Option<Arc<dyn Inventory>> {
        self.provider.inventory()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// What is left out would answer with the trait's own word, and not with the module's.
    #[test]
    fn every_method_of_a_module_is_passed_on() {
        let methods = |text: &str, from: &str| -> BTreeSet<String> {
            let (_, text) = text.split_once(from).unwrap();
            let (text, _) = text.split_once("\n}\n").unwrap();
            let names = text.lines().filter_map(|line| {
                let line = line.strip_prefix("    ")?;
                line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?.split('(').next()
            });
            names.map(str::to_owned).collect()
        };
        let ours = include_str!("measured.rs");
        for (text, name) in [
            (include_str!("../../providers/provider-api/src/provider.rs"), "Provider"),
            (include_str!("../../providers/provider-api/src/lifecycle.rs"), "Lifecycle"),
        ] {
            let declared = methods(text, &format!("pub trait {name}: "));
            assert!(declared.len() > 5, "{name}: {declared:?}");
            assert_eq!(methods(ours, &format!("impl {name} for ")), declared, "{name}");
        }
    }
}
