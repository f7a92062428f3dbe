//! What Fly holds of an installation: apps by their networks, machines by their metadata, volumes by
//! their apps. Three lists of the whole organisation, however many instances there are; three of one app for one
//! runtime.

use std::collections::HashMap;

use async_trait::async_trait;
use contracts::{ErrorCode, InstallationId, RuntimeId};
use provider_api::{Home, Inventory, OwnedObject, ProviderError, Result, RuntimeRef};

use crate::failure::{error, optional};
use crate::lifecycle::FlyLifecycle;
use crate::{instance, names, owned};

fn home(kind: &str) -> Home {
    match kind {
        "volume" => Home::Is,
        // A volume is its app's.
        "app" => Home::With,
        _ => Home::No,
    }
}

#[async_trait]
impl Inventory for FlyLifecycle {
    async fn list_installation(&self, installation: &InstallationId) -> Result<Vec<OwnedObject>> {
        let client = self.fly.client()?;
        let apps = client.all_apps().await.map_err(|failure| error(failure, "list the apps"))?;
        let mut owners: HashMap<String, RuntimeId> = HashMap::new();
        let mut found = Vec::new();
        let mut add = |runtime: &RuntimeId, kind: &str, id: String| {
            let home = home(kind);
            found.push(OwnedObject { runtime_id: runtime.clone(), kind: kind.to_owned(), id, home });
        };
        for app in apps {
            let owner = names::owner_by_network(&app.network);
            if let Some(owner) = owner.filter(|owner| owner.installation == *installation) {
                add(&owner.runtime_id, "app", app.name.clone());
                owners.insert(app.name, owner.runtime_id);
            }
        }
        let listed = client.all_machines().await;
        let (machines, silent) = listed.map_err(|failure| error(failure, "list the machines"))?;
        if !silent.is_empty() {
            let message = format!("Fly did not tell of machines in {}", silent.join(", "));
            return Err(ProviderError::new(ErrorCode::ProviderUnreachable, message)
                .with_action("Look at status.flyio.net, and try again."));
        }
        for machine in machines.iter().filter(|machine| machine.state != "destroyed") {
            let owner = names::owner(&machine.config.metadata);
            if let Some(owner) = owner.filter(|owner| owner.installation == *installation) {
                add(&owner.runtime_id, "machine", owned::id(&machine.app_name, &machine.id));
            }
        }
        let volumes = client.all_volumes().await.map_err(|failure| error(failure, "list the volumes"))?;
        for volume in volumes.iter().filter(|volume| !volume.is_going()) {
            if let Some(runtime) = owners.get(&volume.app_name) {
                add(runtime, "volume", owned::id(&volume.app_name, &volume.id));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Everything of a runtime is in the app of its name.
    async fn list_runtime(&self, runtime: &RuntimeRef) -> Result<Vec<OwnedObject>> {
        let (client, name) = (self.fly.client()?, names::app(&runtime.runtime_id));
        let Some(app) = optional(client.app(&name).await, "read the app")? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let mut add = |kind: &str, id: String| {
            let (runtime_id, home) = (runtime.runtime_id.clone(), home(kind));
            found.push(OwnedObject { runtime_id, kind: kind.to_owned(), id, home });
        };
        let machines = optional(client.machines(&name, runtime).await, "list the machines")?;
        for machine in machines.unwrap_or_default().into_iter().filter(|machine| !machine.is_gone()) {
            if machine.config.is_none() {
                return Err(instance::silent(&machine));
            }
            if names::owner(&machine.metadata()).is_some_and(|owner| owner.is(runtime)) {
                add("machine", owned::id(&name, &machine.id));
            }
        }
        if names::owner_by_network(&app.network).is_some_and(|owner| owner.is(runtime)) {
            let volumes = optional(client.volumes(&name).await, "list the volumes")?.unwrap_or_default();
            for volume in volumes.iter().filter(|volume| !volume.is_going()) {
                add("volume", owned::id(&name, &volume.id));
            }
            add("app", app.name);
        }
        found.sort();
        Ok(found)
    }
}
