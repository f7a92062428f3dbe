//! Parts for tests that need no engine: no provider, and a Pulumi that knows only its version; and a provider that is a little otherwise.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use contracts::InstallationId;
use provider_api::{Declared, Description, Provider, Resource, Result, RuntimeSpec};
use tokio_util::sync::CancellationToken;

use super::{Feed, Parts, Runner};
use crate::data::Layout;
use crate::engine::Engine;
use crate::lifecycle::Lifecycle;
use crate::reconcile::Repair;
use crate::store::Store;
use crate::tools::Driver;
use crate::wiring::Providers;

/// A module of which some is otherwise.
pub struct Altered {
    pub inner: Arc<dyn Provider>,
    pub lifecycle: Arc<dyn provider_api::Lifecycle>,
    pub concurrency: usize,
}

#[async_trait]
impl Provider for Altered {
    fn describe(&self) -> Description {
        self.inner.describe()
    }

    fn declare(&self, runtime: &RuntimeSpec) -> Result<Declared> {
        self.inner.declare(runtime)
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        self.inner.resources()
    }

    fn lifecycle(&self) -> Arc<dyn provider_api::Lifecycle> {
        Arc::clone(&self.lifecycle)
    }

    async fn ready(&self) -> Result<()> {
        self.inner.ready().await
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }
}

/// In an empty data folder at `root`.
pub async fn parts(root: &Path) -> Parts {
    let pulumi = root.join("pulumi-stand-in");
    // Written by a shell, because a file that this process has open for writing cannot be executed by
    // the child of another test.
    let script = format!("printf '#!/bin/sh\\necho v3.276.0\\n' > {0}; chmod +x {0}", pulumi.display());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    let (layout, cli) = (Layout { root: root.to_owned() }, automation::Cli::open(pulumi).await.unwrap());
    let driver = Driver::Cli(cli);
    let engine =
        Engine::start(driver, root.into(), &layout, None, Default::default(), String::new(), Vec::new());
    let store = Store::open(&layout.database()).await.unwrap();
    Parts {
        feed: Feed::new(store.clone()),
        store,
        engine: Arc::new(engine.await.unwrap()),
        providers: Providers::of([]),
        installation: InstallationId::random(),
        ready_timeout: Duration::ZERO,
        home_grace: Duration::ZERO,
        lease: super::LEASE,
        shutdown: CancellationToken::new(),
        probe: crate::readiness::client().unwrap(),
        shared: Default::default(),
    }
}

/// The lifecycle of an empty data folder at `root`. What is accepted stays queued.
pub async fn lifecycle(root: &Path) -> Lifecycle {
    let parts = parts(root).await;
    parts.shutdown.cancel();
    Lifecycle {
        store: parts.store.clone(),
        providers: parts.providers.clone(),
        engine: Arc::clone(&parts.engine),
        installation: parts.installation.clone(),
        runner: Runner::new(parts),
        default_provider: "test".parse().unwrap(),
        repair: Repair::Auto,
        stray_grace: Duration::ZERO,
        snapshot_limit: 10,
        gateway: OnceLock::new(),
    }
}
