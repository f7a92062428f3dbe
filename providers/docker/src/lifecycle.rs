//! Start, stop, status and log of a runtime's container, without Pulumi.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::workspace::Endpoint;
use contracts::{InstallationId, RuntimeId};
use provider_api::{Changes, Lifecycle, Logs, Result, RunStatus, RuntimeRef, Statuses};
use provider_kit::boot;

use crate::container::{self, Machine};
use crate::hosts::Hosts;
use crate::{changes, logs, statuses};

pub(crate) struct DockerLifecycle {
    pub hosts: Arc<Hosts>,
}

#[async_trait]
impl Lifecycle for DockerLifecycle {
    async fn start(&self, runtime: &RuntimeRef) -> Result<()> {
        let files = boot::files(&*self.hosts.config.boot, &runtime.runtime_id).await?;
        let _lock = self.hosts.locks.lock(&runtime.runtime_id).await;
        let engine = self.hosts.of(&runtime.runtime_id).await?;
        let machine = Machine::new(&engine, runtime.clone());
        machine.find().await?.ok_or_else(|| machine.missing())?;
        machine.pass().await?;
        machine.run(&files).await.map(drop)
    }

    async fn stop(&self, runtime: &RuntimeRef, grace: Duration) -> Result<()> {
        let _lock = self.hosts.locks.lock(&runtime.runtime_id).await;
        let engine = self.hosts.of(&runtime.runtime_id).await?;
        let machine = Machine::new(&engine, runtime.clone());
        machine.pass().await?;
        machine.stop(grace).await
    }

    async fn suspend(&self, runtime: &RuntimeRef) -> Result<()> {
        let _lock = self.hosts.locks.lock(&runtime.runtime_id).await;
        let engine = self.hosts.of(&runtime.runtime_id).await?;
        let machine = Machine::new(&engine, runtime.clone());
        machine.pass().await?;
        machine.suspend().await
    }

    async fn resume(&self, runtime: &RuntimeRef) -> Result<()> {
        let goes_on = {
            let _lock = self.hosts.locks.lock(&runtime.runtime_id).await;
            let engine = self.hosts.of(&runtime.runtime_id).await?;
            let machine = Machine::new(&engine, runtime.clone());
            machine.pass().await?;
            machine.resume().await?
        };
        if goes_on { Ok(()) } else { self.start(runtime).await }
    }

    async fn status(&self, runtime: &RuntimeRef) -> Result<RunStatus> {
        let engine = self.hosts.of(&runtime.runtime_id).await?;
        let found = Machine::new(&engine, runtime.clone()).find().await?;
        Ok(found.as_ref().map_or(RunStatus::Absent, container::status))
    }

    fn status_many(&self, installation: InstallationId, runtimes: Vec<RuntimeId>) -> Statuses<'_> {
        statuses::many(self, installation, runtimes)
    }

    fn watch(&self, installation: InstallationId) -> Option<Changes<'_>> {
        Some(changes::of(self, installation))
    }

    async fn endpoint(&self, runtime: &RuntimeRef) -> Result<Endpoint> {
        let engine = self.hosts.of(&runtime.runtime_id).await?;
        let machine = Machine::new(&engine, runtime.clone());
        let found = machine.find().await?.ok_or_else(|| machine.missing())?;
        let port = container::published_port(&found).ok_or_else(|| machine.does_not_run(&found))?;
        Ok(Endpoint::plain(engine.reached_at().to_string(), port))
    }
}

#[async_trait]
impl Logs for DockerLifecycle {
    async fn tail(&self, runtime: &RuntimeRef, max_bytes: usize) -> Result<String> {
        let engine = self.hosts.of(&runtime.runtime_id).await?;
        let machine = Machine::new(&engine, runtime.clone());
        match machine.find().await? {
            Some(_) => logs::tail(&engine, machine.name(), max_bytes).await,
            None => Ok(String::new()),
        }
    }

    async fn ended(&self, runtime: &RuntimeRef) -> Result<Option<String>> {
        let engine = self.hosts.of(&runtime.runtime_id).await?;
        let found = Machine::new(&engine, runtime.clone()).find().await?;
        let why = found.and_then(|found| found.state.as_ref().and_then(container::why_it_ended));
        Ok(why.map(|why| format!("the container ended: {why}")))
    }
}
