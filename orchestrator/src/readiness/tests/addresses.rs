//! Addresses that the gateway refuses, of instances that would answer there.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::ErrorCode;
use contracts::workspace::Endpoint;
use provider_api::{Lifecycle, Result, RunStatus, RuntimeRef};
use tokio::time::{Duration, Instant};

use crate::operations::stand_in::Altered;
use crate::readiness::{Target, answers, booted, client, ready};

/// Says that its instances are elsewhere.
struct Told {
    inner: Arc<dyn Lifecycle>,
    endpoint: Endpoint,
}

#[async_trait]
impl Lifecycle for Told {
    async fn start(&self, runtime: &RuntimeRef) -> Result<()> {
        self.inner.start(runtime).await
    }

    async fn stop(&self, runtime: &RuntimeRef, grace: Duration) -> Result<()> {
        self.inner.stop(runtime, grace).await
    }

    async fn status(&self, runtime: &RuntimeRef) -> Result<RunStatus> {
        self.inner.status(runtime).await
    }

    async fn endpoint(&self, _runtime: &RuntimeRef) -> Result<Endpoint> {
        Ok(self.endpoint.clone())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_answers_where_the_gateway_would_not_connect_is_never_ready() {
    let fixture = provider_fake::conformance::fixture().await;
    let mut stack = fixture.stack();
    stack.up().await;
    let (runtime, client) = (stack.runtime(), client().unwrap());
    let there = fixture.provider.lifecycle().endpoint(&runtime).await.unwrap();
    // Any address of this machine, which no gateway takes for one of an instance.
    let endpoint = Endpoint { host: "0.0.0.0".to_owned(), ..there };
    assert!(endpoint.usable().is_err() && answers(&client, &endpoint, &runtime.runtime_id).await);
    let inner = fixture.provider.clone();
    let lifecycle = Arc::new(Told { inner: inner.lifecycle(), endpoint });
    let provider = Altered { concurrency: inner.concurrency(), inner, lifecycle };
    let timeout = Duration::from_secs(60);
    let target = Target { provider: &provider, runtime: &runtime, timeout, tell: &|_| {}, answers: &|_| {} };
    let asked = Instant::now();
    let refusals =
        [ready(&client, &target).await.map(drop).unwrap_err(), booted(&client, &target).await.unwrap_err()];
    for refused in refusals {
        assert_eq!(refused.code, ErrorCode::UpstreamUnreachable, "{refused}");
        assert!(refused.detail.contains("0.0.0.0") && refused.action.is_some(), "{refused}");
    }
    assert!(asked.elapsed() < timeout, "time would not make it better");
}
