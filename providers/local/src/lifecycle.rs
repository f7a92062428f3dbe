//! Start, stop, status, log and inventory: what is done without Pulumi.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::workspace::Endpoint;
use contracts::{InstallationId, RuntimeId};
use provider_api::{Home, Inventory, Lifecycle, Logs, OwnedObject, Result, RunStatus, RuntimeRef};
use provider_kit::boot;

use crate::host::Host;
use crate::layout::Owner;
use crate::procfs::Label;
use crate::tree;

pub(crate) struct LocalLifecycle {
    pub host: Arc<Host>,
}

#[async_trait]
impl Lifecycle for LocalLifecycle {
    async fn start(&self, runtime: &RuntimeRef) -> Result<()> {
        let files = boot::files(&*self.host.config.boot, &runtime.runtime_id).await?;
        let runtime = runtime.clone();
        self.host.run(move |host| host.start(&runtime, &files)).await
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
    async fn list_installation(&self, installation: &InstallationId) -> Result<Vec<OwnedObject>> {
        let installation = installation.clone();
        self.host
            .run(move |host| list(host, &installation, &host.layout.owned(&installation)?, |_| true))
            .await
    }

    async fn list_runtime(&self, runtime: &RuntimeRef) -> Result<Vec<OwnedObject>> {
        let runtime = runtime.clone();
        self.host
            .run(move |host| {
                let marker = host.layout.read_marker(&runtime.runtime_id)?;
                let is_ours = marker.is_some_and(|marker| marker.owner == Owner::from(&runtime));
                let folders = if is_ours { vec![runtime.runtime_id.clone()] } else { Vec::new() };
                list(host, &runtime.installation, &folders, |id| *id == runtime.runtime_id)
            })
            .await
    }
}

/// Claims of ports and processes are of this machine's whole account, however many of them count.
fn list(
    host: &Host,
    installation: &InstallationId,
    folders: &[RuntimeId],
    counts: impl Fn(&RuntimeId) -> bool,
) -> Result<Vec<OwnedObject>> {
    let mut owned = BTreeSet::new();
    for runtime_id in folders.iter().cloned() {
        let id = host.layout.folder(&runtime_id).to_string_lossy().into_owned();
        // Without the files it says whose they were, and what they have seen.
        let home = if host.layout.home(&runtime_id).is_dir() { Home::Is } else { Home::With };
        owned.insert(OwnedObject { runtime_id, kind: "directory".to_owned(), id, home });
    }
    for (port, owner) in host.ports().list()? {
        if let Some(owner) =
            owner.filter(|owner| owner.installation == *installation && counts(&owner.runtime))
        {
            owned.insert(OwnedObject {
                runtime_id: owner.runtime,
                kind: "port".to_owned(),
                id: port.to_string(),
                home: Home::No,
            });
        }
    }
    for process in tree::labelled(installation) {
        let is_here = |label: &Label| label.is_in(&host.layout.folder(&label.runtime));
        if let Some(label) = process.label.filter(|label| counts(&label.runtime) && is_here(label)) {
            let id = process.identity.pid.to_string();
            owned.insert(OwnedObject {
                runtime_id: label.runtime,
                kind: "process".to_owned(),
                id,
                home: Home::No,
            });
        }
    }
    Ok(owned.into_iter().collect())
}
