//! As many at once as the module says: with the claimer that takes them, and a module whose stops last.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use contracts::operation::OperationKind;
use contracts::workspace::{Endpoint, Observed};
use provider_api::conformance::eventually;
use provider_api::{Lifecycle, Provider, RunStatus, RuntimeRef};

use super::*;
use crate::operations::stand_in::{self, Altered};
use crate::operations::{Parts, Runner};
use crate::store::{NewOperation, WorkspaceRow};

/// Another number than the usual one.
const AT_ONCE: usize = 3;
const ALL: usize = 8;

/// Stops that end when they are let.
#[derive(Clone)]
struct Narrow {
    inner: Arc<dyn Lifecycle>,
    begun: Arc<AtomicUsize>,
    ends: Arc<Semaphore>,
}

#[async_trait]
impl Lifecycle for Narrow {
    async fn start(&self, runtime: &RuntimeRef) -> provider_api::Result<()> {
        self.inner.start(runtime).await
    }

    async fn stop(&self, _runtime: &RuntimeRef, _grace: Duration) -> provider_api::Result<()> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.ends.acquire().await.unwrap().forget();
        Ok(())
    }

    async fn status(&self, runtime: &RuntimeRef) -> provider_api::Result<RunStatus> {
        self.inner.status(runtime).await
    }

    async fn endpoint(&self, runtime: &RuntimeRef) -> provider_api::Result<Endpoint> {
        self.inner.endpoint(runtime).await
    }
}

#[tokio::test]
async fn no_more_work_at_a_provider_at_once_than_its_module_says() {
    let folder = tempfile::tempdir().unwrap();
    let fake = provider_fake::conformance::fixture().await.provider;
    let narrow = Narrow { inner: fake.lifecycle(), begun: Arc::default(), ends: Arc::new(Semaphore::new(0)) };
    let module = Altered { inner: fake, lifecycle: Arc::new(narrow.clone()), concurrency: AT_ONCE };
    let providers = Providers::of([Arc::new(module) as Arc<dyn Provider>]);
    let parts = Parts { providers, ..stand_in::parts(folder.path()).await };
    let (store, shutdown) = (parts.store.clone(), parts.shutdown.clone());
    for number in 0..ALL {
        let slug = format!("demo{number}").parse().unwrap();
        let mut row = WorkspaceRow::new(slug, "fake".parse().unwrap(), "small".to_owned());
        row.observed = Observed::Ready;
        let stop = NewOperation::of(OperationKind::Stop, "admin", "req-1");
        store.insert_workspace(&row, &stop).await.unwrap();
    }
    let runner = Runner::new(parts);
    runner.start().await.unwrap();
    let begun = || narrow.begun.load(Ordering::SeqCst);
    eventually("as many as there is room for", async || begun() == AT_ONCE).await;
    // Each that ends makes room for one. What had been taken beyond that would have begun by then.
    for ended in 1..=ALL - AT_ONCE {
        narrow.ends.add_permits(1);
        eventually("the next", async || begun() >= AT_ONCE + ended).await;
        assert_eq!(begun(), AT_ONCE + ended);
    }
    narrow.ends.add_permits(AT_ONCE);
    eventually("all to be stopped", async || {
        let rows = store.workspaces().await.unwrap();
        rows.iter().all(|row| row.observed == Observed::Stopped)
    })
    .await;
    shutdown.cancel();
    runner.drained().await;
}
