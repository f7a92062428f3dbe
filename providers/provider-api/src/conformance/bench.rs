//! The world that a case runs in.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use contracts::{InstallationId, RuntimeId};

use crate::conformance::Stack;
use crate::{BootFile, BootSource, Provider, Result, RuntimeRef, RuntimeSpec};

/// One provider in a world of its own.
pub struct Bench {
    pub provider: Arc<dyn Provider>,
    /// A second instance of the same module with the same configuration, as another program has it.
    pub second: Arc<dyn Provider>,
    pub installation: InstallationId,
    pub boot: Arc<CanaryBoot>,
    pub hands: Arc<dyn Hands>,
}

/// What a test does and sees outside, without the provider.
#[async_trait]
pub trait Hands: Send + Sync {
    /// One entry for each external object of the runtime that corresponds to a declared resource. A
    /// process tree counts once, by its leader.
    async fn objects(&self, runtime: &RuntimeRef) -> Vec<String>;
    /// Whether the instance's own program runs.
    async fn runs(&self, runtime: &RuntimeRef) -> bool;
    /// Writes a file into the home of a running instance, as its user would.
    async fn write_home(&self, runtime: &RuntimeRef, path: &str, content: &str);
    /// Reads a file of a running instance's home.
    async fn read_home(&self, runtime: &RuntimeRef, path: &str) -> Option<String>;
    /// Removes the external object of one declared resource behind the provider's back.
    async fn remove(&self, runtime: &RuntimeRef, resource: &str);
    /// Removes all of an installation, whatever state it is in. Must not use the provider.
    async fn sweep(&self, installation: &InstallationId);
}

impl Bench {
    /// A new runtime of the provider's first size.
    pub fn stack(&self) -> Stack {
        self.stack_of(&self.provider, &self.installation, RuntimeId::random())
    }

    /// The stack of a given runtime, as a given instance of the module sees it.
    pub fn stack_of(
        &self,
        provider: &Arc<dyn Provider>,
        installation: &InstallationId,
        runtime: RuntimeId,
    ) -> Stack {
        let spec = RuntimeSpec {
            runtime_id: runtime,
            installation: installation.clone(),
            generation: 1,
            region: provider.describe().regions.first().map(|region| region.name.clone()),
            size: provider.describe().sizes.first().expect("a provider has a size").name.clone(),
            git: None,
        };
        Stack::new(provider.clone(), spec)
    }
}

/// Gives one file with a text that must appear nowhere but in the home.
pub struct CanaryBoot {
    canary: Mutex<String>,
}

impl CanaryBoot {
    pub const PATH: &'static str = ".config/pilot/gateway-key";

    pub fn new() -> Arc<Self> {
        let boot = Self { canary: Mutex::default() };
        boot.change();
        Arc::new(boot)
    }

    pub fn canary(&self) -> String {
        self.canary.lock().unwrap().clone()
    }

    /// Another text from now on.
    pub fn change(&self) {
        *self.canary.lock().unwrap() = format!("canary-{}", RuntimeId::random());
    }
}

#[async_trait]
impl BootSource for CanaryBoot {
    async fn boot_files(&self, _runtime: &RuntimeId) -> Result<Vec<BootFile>> {
        Ok(vec![BootFile { path: Self::PATH.to_owned(), content: self.canary().into_bytes() }])
    }
}

/// Runs a case and leaves nothing behind, whether it passed or not.
pub async fn run<F, C>(bench: Bench, case: C)
where
    C: FnOnce(Arc<Bench>) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let bench = Arc::new(bench);
    let outcome = tokio::spawn(case(bench.clone())).await;
    bench.hands.sweep(&bench.installation).await;
    if let Err(failed) = outcome {
        std::panic::resume_unwind(failed.into_panic());
    }
}

/// Waits until `holds` is true and fails the test when that takes longer than twenty seconds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
