//! Copies of homes. The cloud keeps them with the volume, and they go with it.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::secrets;
use provider_api::{Result, RuntimeRef, Snapshot, Snapshots, Source, Take, Told, no_snapshot};

use crate::client::Client;
use crate::cloud::From;
use crate::{fence, owner};

pub(crate) struct FakeSnapshots {
    pub client: Arc<Client>,
}

impl FakeSnapshots {
    /// The name of the runtime's volume, if it is there and is not another's.
    async fn volume(&self, runtime: &RuntimeRef) -> Result<Option<String>> {
        let name = owner::volume_name(&runtime.runtime_id);
        let found = self.client.look("look at the volume", self.client.cloud().volume(&name)).await?;
        let Some(found) = found else { return Ok(None) };
        owner::must_own(owner::object("volume", &name), &found.labels, runtime)?;
        Ok(Some(name))
    }
}

#[async_trait]
impl Snapshots for FakeSnapshots {
    async fn take(&self, runtime: &RuntimeRef, take: &Take) -> Result<Snapshot> {
        fence::pass(&self.client, runtime).await?;
        self.volume(runtime).await?;
        let (name, cloud) =
            (owner::volume_name(&runtime.runtime_id), self.client.cloud().under(runtime.fence));
        let taken = cloud.take_snapshot(&name, &take.key, take.name.as_deref());
        self.client.ask("take a snapshot", taken).await
    }

    async fn list(&self, runtime: &RuntimeRef) -> Result<Vec<Snapshot>> {
        let Some(name) = self.volume(runtime).await? else { return Ok(Vec::new()) };
        let listed = self.client.look("list the snapshots", self.client.cloud().snapshots(&name)).await?;
        Ok(listed.unwrap_or_default())
    }

    async fn remove(&self, runtime: &RuntimeRef, id: &str) -> Result<()> {
        fence::pass(&self.client, runtime).await?;
        let Some(name) = self.volume(runtime).await? else { return Ok(()) };
        let cloud = self.client.cloud().under(runtime.fence);
        self.client.look("delete a snapshot", cloud.delete_snapshot(&name, id)).await.map(drop)
    }

    async fn restore(&self, runtime: &RuntimeRef, id: &str, _told: &Told) -> Result<()> {
        fence::pass(&self.client, runtime).await?;
        let missing = || no_snapshot(&runtime.runtime_id, id);
        let name = self.volume(runtime).await?.ok_or_else(missing)?;
        let cloud = self.client.cloud().under(runtime.fence);
        let restored = self.client.look("restore a snapshot", cloud.restore_snapshot(&name, id)).await?;
        restored.ok_or_else(missing)
    }
}

/// What a new volume begins with, where it does: a snapshot of a runtime of the same installation, without its secrets.
pub(crate) async fn source(
    client: &Arc<Client>,
    of: &RuntimeRef,
    source: Option<&Source>,
) -> Result<Option<From>> {
    let Some(Source { runtime_id, snapshot }) = source else { return Ok(None) };
    let theirs = RuntimeRef::new(runtime_id.clone(), of.installation.clone());
    let listed = FakeSnapshots { client: client.clone() }.list(&theirs).await?;
    if !listed.iter().any(|listed| listed.id == *snapshot) {
        return Err(no_snapshot(runtime_id, snapshot));
    }
    let without = secrets::BELOW_HOME.iter().map(|&path| path.to_owned()).collect();
    Ok(Some(From { volume: owner::volume_name(runtime_id), snapshot: snapshot.clone(), without }))
}
