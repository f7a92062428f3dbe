//! What Docker holds of an installation, by its labels.

use std::collections::HashMap;

use async_trait::async_trait;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
};
use contracts::InstallationId;
use provider_api::{Inventory, OwnedObject, Result};

use crate::engine::Engine;
use crate::lifecycle::DockerLifecycle;
use crate::names;

#[async_trait]
impl Inventory for DockerLifecycle {
    async fn list_owned(&self, installation: &InstallationId) -> Result<Vec<OwnedObject>> {
        let mut owned = Vec::new();
        for engine in self.hosts.all()? {
            owned.extend(of_host(engine, installation).await?);
        }
        owned.sort();
        Ok(owned)
    }
}

async fn of_host(engine: &Engine, installation: &InstallationId) -> Result<Vec<OwnedObject>> {
    let docker = engine.docker().await?;
    let filters = names::owned_by(installation);
    let mut owned = Vec::new();
    let mut add = |kind: &str, labels: &HashMap<String, String>, id: Option<String>| {
        let owner = names::owner(labels).filter(|owner| owner.installation == *installation);
        if let (Some(owner), Some(id)) = (owner, id) {
            // The register says what the home has seen.
            let home = matches!(kind, "volume" | "fence");
            owned.push(OwnedObject { runtime_id: owner.runtime_id, kind: kind.to_owned(), id, home });
        }
    };

    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let containers = engine.ask("list containers", docker.list_containers(Some(options))).await?;
    for container in containers {
        add("container", &container.labels.unwrap_or_default(), container.id);
    }
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    for network in engine.ask("list networks", docker.list_networks(Some(options))).await? {
        add("network", &network.labels.unwrap_or_default(), network.id);
    }
    let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let volumes = engine.ask("list volumes", docker.list_volumes(Some(options))).await?;
    for volume in volumes.volumes.unwrap_or_default() {
        let kind = if names::is_register(&volume.name) { "fence" } else { "volume" };
        add(kind, &volume.labels, Some(volume.name));
    }
    Ok(owned)
}
