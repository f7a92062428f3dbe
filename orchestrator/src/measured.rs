//! Modules as operators see them: what is asked of a runtime's state is measured here, and what changes it traced. Calls of
//! resources are seen where Pulumi makes them, in the provider server. Whether a module is ready is asked once for all who want
//! to know it at the same time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use contracts::workspace::{Endpoint, ProviderCapabilities};
use contracts::{ErrorCode, InstallationId, ProviderName, RuntimeId};
use futures_util::future::{BoxFuture, Shared};
use futures_util::{FutureExt as _, StreamExt as _};
use provider_api::error::Result;
use provider_api::{
    Changes, Declared, Description, EgressOffer, Exec, Finding, ImageStore, Images, Inventory, Lifecycle,
    Logs, Provider, ProviderError, Refuses, Resource, RunStatus, RuntimeRef, RuntimeSpec, Sites, Snapshots,
    Statuses,
};
use provider_server::calls::Call;

/// A request waits for a module's word on whether it is ready; no longer than this.
const LONGEST: Duration = Duration::from_secs(10);
/// So long a good word holds.
const HOLDS: Duration = Duration::from_secs(5);

/// A module that is the same in everything.
pub struct Measured {
    name: ProviderName,
    provider: Arc<dyn Provider>,
    asked: Mutex<Option<(Instant, Asked)>>,
}

/// One question, and whoever waits for its answer.
type Asked = Shared<BoxFuture<'static, Result<()>>>;

impl Measured {
    pub fn new(provider: Arc<dyn Provider>) -> Self {
        Self { name: provider.describe().name, provider, asked: Mutex::default() }
    }

    pub fn name(&self) -> &ProviderName {
        &self.name
    }

    /// The question that is under way or was just answered well, or a new one. It is answered whoever still waits.
    fn ask(&self) -> Asked {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((begun, question)) = asked.as_ref() {
            let holds = match question.peek() {
                None => true,
                Some(answer) => answer.is_ok() && begun.elapsed() < HOLDS,
            };
            if holds {
                return question.clone();
            }
        }
        let (provider, name) = (self.provider.clone(), self.name.clone());
        let task = tokio::spawn(async move {
            let late = |_| {
                let message =
                    format!("the provider {name} did not say within {LONGEST:?} whether it can be used");
                ProviderError::new(ErrorCode::ProviderTimeout, message).with_action("Try again in a moment.")
            };
            tokio::time::timeout(LONGEST, provider.ready()).await.map_err(late)?
        });
        let broken =
            |error| ProviderError::new(ErrorCode::Internal, format!("a look was not finished: {error}"));
        let question = async move { task.await.map_err(broken)? }.boxed().shared();
        *asked = Some((Instant::now(), question.clone()));
        question
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

    async fn hibernate(&self, runtime: &RuntimeRef, grace: Duration) -> Result<()> {
        self.call("hibernate").traced(self.lifecycle.hibernate(runtime, grace)).await
    }

    async fn resume(&self, runtime: &RuntimeRef) -> Result<()> {
        self.call("resume").traced(self.lifecycle.resume(runtime)).await
    }

    async fn home_goes(&self, runtime: &RuntimeRef) -> Result<()> {
        self.call("home_goes").traced(self.lifecycle.home_goes(runtime)).await
    }

    async fn status(&self, runtime: &RuntimeRef) -> Result<RunStatus> {
        self.call("status").measured(self.lifecycle.status(runtime)).await
    }

    fn status_many(&self, installation: InstallationId, runtimes: Vec<RuntimeId>) -> Statuses<'_> {
        self.call("status_many")
            .measured_to_its_end(self.lifecycle.status_many(installation, runtimes))
            .boxed()
    }

    /// Not measured: it lasts as long as somebody listens.
    fn watch(&self, installation: InstallationId) -> Option<Changes<'_>> {
        self.lifecycle.watch(installation)
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
        self.ask().await
    }

    async fn examine(&self, installation: &InstallationId) -> Vec<Finding> {
        self.provider.examine(installation).await
    }

    fn shared(&self, installation: &InstallationId) -> Result<Declared> {
        self.provider.shared(installation)
    }

    fn suspends(&self, size: &str) -> bool {
        self.provider.suspends(size)
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

    fn image_store(&self) -> Option<Arc<dyn ImageStore>> {
        self.provider.image_store()
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

    fn egress(&self) -> Option<EgressOffer> {
        self.provider.egress()
    }

    fn refuses(&self) -> Option<Arc<dyn Refuses>> {
        self.provider.refuses()
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
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    /// Says whether it is ready as slowly as a vendor, and counts.
    struct Slow {
        inner: Arc<dyn Provider>,
        takes: Duration,
        works: AtomicBool,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Provider for Slow {
        fn describe(&self) -> Description {
            self.inner.describe()
        }

        fn declare(&self, runtime: &RuntimeSpec) -> Result<Declared> {
            self.inner.declare(runtime)
        }

        fn resources(&self) -> Vec<Arc<dyn Resource>> {
            self.inner.resources()
        }

        fn lifecycle(&self) -> Arc<dyn Lifecycle> {
            self.inner.lifecycle()
        }

        async fn ready(&self) -> Result<()> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(self.takes).await;
            match self.works.load(Ordering::SeqCst) {
                true => Ok(()),
                false => Err(ProviderError::new(ErrorCode::CredentialsRejected, "no")),
            }
        }
    }

    async fn slow(takes: Duration) -> (Arc<Slow>, Measured) {
        let inner = provider_fake::conformance::fixture().await.provider;
        let slow = Arc::new(Slow { inner, takes, works: true.into(), asked: AtomicUsize::new(0) });
        (slow.clone(), Measured::new(slow))
    }

    #[tokio::test]
    async fn who_asks_at_once_whether_a_module_is_ready_is_told_by_one_look() {
        let (slow, module) = slow(Duration::from_millis(200)).await;
        let all = futures_util::future::join_all((0..20).map(|_| module.ready())).await;
        assert!(all.iter().all(Result::is_ok), "{all:?}");
        module.ready().await.unwrap();
        assert_eq!(slow.asked.load(Ordering::SeqCst), 1, "a good word holds for a while");
    }

    #[tokio::test]
    async fn a_bad_word_is_told_to_all_who_wait_and_holds_for_nobody_after_them() {
        let (slow, module) = slow(Duration::from_millis(50)).await;
        slow.works.store(false, Ordering::SeqCst);
        let all = futures_util::future::join_all((0..20).map(|_| module.ready())).await;
        assert!(all.iter().all(Result::is_err));
        assert_eq!(slow.asked.load(Ordering::SeqCst), 1);
        slow.works.store(true, Ordering::SeqCst);
        module.ready().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_module_that_does_not_say_whether_it_is_ready_keeps_no_request() {
        let (_, module) = slow(Duration::from_secs(600)).await;
        let began = tokio::time::Instant::now();
        let error = module.ready().await.unwrap_err();
        assert_eq!((error.code, error.code.retryable()), (ErrorCode::ProviderTimeout, true));
        assert!(began.elapsed() <= LONGEST + Duration::from_secs(1), "{:?}", began.elapsed());
    }

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
