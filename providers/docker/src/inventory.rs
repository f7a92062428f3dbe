//! What Docker holds of an installation, by its labels.

use std::collections::HashMap;

use async_trait::async_trait;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
};
use contracts::InstallationId;
use futures_util::future::try_join_all;
use provider_api::{Home, Inventory, OwnedObject, Result, RuntimeRef};

use crate::engine::Engine;
use crate::hosts::Hosts;
use crate::lifecycle::DockerLifecycle;
use crate::names::{self, Filters};

#[async_trait]
impl Inventory for DockerLifecycle {
    async fn list_installation(&self, installation: &InstallationId) -> Result<Vec<OwnedObject>> {
        of_hosts(&self.hosts, &names::owned_by(installation)).await
    }

    async fn list_runtime(&self, runtime: &RuntimeRef) -> Result<Vec<OwnedObject>> {
        of_hosts(&self.hosts, &names::of_runtime(runtime)).await
    }
}

/// One that does not answer may have something, so it is an error for all.
async fn of_hosts(hosts: &Hosts, filters: &Filters) -> Result<Vec<OwnedObject>> {
    let asked = hosts.all()?.iter().map(|engine| of_host(engine, filters));
    let mut owned = try_join_all(asked).await?.concat();
    owned.sort();
    Ok(owned)
}

/// The engine compares whole labels, so that nobody else's object is in its answer.
async fn of_host(engine: &Engine, filters: &Filters) -> Result<Vec<OwnedObject>> {
    let docker = engine.docker().await?;
    let mut owned = Vec::new();
    let mut add = |kind: &str, labels: &HashMap<String, String>, id: Option<String>| {
        if let (Some(owner), Some(id)) = (names::owner(labels), id) {
            let home = match kind {
                "volume" => Home::Is,
                // One says what the home has seen, the other what was in it once.
                "fence" | "snapshot" => Home::With,
                _ => Home::No,
            };
            owned.push(OwnedObject { runtime_id: owner.runtime_id, kind: kind.to_owned(), id, home });
        }
    };

    let options = ListContainersOptionsBuilder::default().all(true).filters(filters).build();
    let containers = engine.ask("list containers", docker.list_containers(Some(options))).await?;
    for container in containers {
        add("container", &container.labels.unwrap_or_default(), container.id);
    }
    let options = ListNetworksOptionsBuilder::default().filters(filters).build();
    for network in engine.ask("list networks", docker.list_networks(Some(options))).await? {
        add("network", &network.labels.unwrap_or_default(), network.id);
    }
    let options = ListVolumesOptionsBuilder::default().filters(filters).build();
    let volumes = engine.ask("list volumes", docker.list_volumes(Some(options))).await?;
    for volume in volumes.volumes.unwrap_or_default() {
        let kind = match names::snapshot_key(&volume.labels) {
            Some(_) => "snapshot",
            None if names::is_register(&volume.name) => "fence",
            None => "volume",
        };
        add(kind, &volume.labels, Some(volume.name));
    }
    Ok(owned)
}
