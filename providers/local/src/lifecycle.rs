//! Start, stop, status, log and inventory: what is done without Pulumi.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::InstallationId;
use contracts::workspace::Endpoint;
use provider_api::{Inventory, Lifecycle, Logs, OwnedObject, Result, RunStatus, RuntimeRef};

use crate::host::Host;
use crate::procfs::Label;
use crate::tree;

pub(crate) struct LocalLifecycle {
    pub host: Arc<Host>,
}

#[async_trait]
impl Lifecycle for LocalLifecycle {
    async fn start(&self, runtime: &RuntimeRef) -> Result<()> {
        let boot = self.host.config.boot.boot_files(&runtime.runtime_id).await?;
        let runtime = runtime.clone();
        self.host.run(move |host| host.start(&runtime, &boot)).await
    }

    async fn stop(&self, runtime: &RuntimeRef, grace: Duration) -> Result<()> {
        let runtime = runtime.clone();
        self.host.run(move |host| host.stop(&runtime, grace)).await
    }

    async fn status(&self, runtime: &RuntimeRef) -> Result<RunStatus> {
        let runtime = runtime.clone();
        self.host.run(move |host| host.status(&runtime)).await
    }

    async fn endpoint(&self, runtime: &RuntimeRef) -> Result<Endpoint> {
        let runtime = runtime.clone();
        self.host.run(move |host| host.endpoint(&runtime)).await
    }
}

#[async_trait]
impl Logs for LocalLifecycle {
    async fn tail(&self, runtime: &RuntimeRef, max_bytes: usize) -> Result<String> {
        let runtime = runtime.clone();
        self.host
            .run(move |host| {
                host.layout.look(&runtime)?;
                crate::logs::tail(&host.layout.log(&runtime.runtime_id), max_bytes)
            })
            .await
    }
}

#[async_trait]
impl Inventory for LocalLifecycle {
    async fn list_owned(&self, installation: &InstallationId) -> Result<Vec<OwnedObject>> {
        let installation = installation.clone();
        self.host.run(move |host| list_owned(host, &installation)).await
    }
}

fn list_owned(host: &Host, installation: &InstallationId) -> Result<Vec<OwnedObject>> {
    let mut owned = BTreeSet::new();
    for runtime_id in host.layout.owned(installation)? {
        let id = host.layout.folder(&runtime_id).to_string_lossy().into_owned();
        owned.insert(OwnedObject { runtime_id, kind: "directory".to_owned(), id, home: true });
    }
    for (port, owner) in host.ports().list()? {
        if let Some(owner) = owner.filter(|owner| owner.installation == *installation) {
            owned.insert(OwnedObject {
                runtime_id: owner.runtime,
                kind: "port".to_owned(),
                id: port.to_string(),
                home: false,
            });
        }
    }
    for process in tree::labelled(installation) {
        let is_here = |label: &Label| label.is_in(&host.layout.folder(&label.runtime));
        if let Some(label) = process.label.filter(is_here) {
            let id = process.identity.pid.to_string();
            owned.insert(OwnedObject {
                runtime_id: label.runtime,
                kind: "process".to_owned(),
                id,
                home: false,
            });
        }
    }
    Ok(owned.into_iter().collect())
}
