//! What Fly holds of an installation: apps by their networks, machines by their metadata, volumes by
//! their apps. Three lists of the whole organisation, however many instances there are.

use std::collections::HashMap;

use async_trait::async_trait;
use contracts::{ErrorCode, InstallationId, RuntimeId};
use provider_api::{Inventory, OwnedObject, ProviderError, Result};

use crate::failure::error;
use crate::lifecycle::FlyLifecycle;
use crate::{names, owned};

#[async_trait]
impl Inventory for FlyLifecycle {
    async fn list_owned(&self, installation: &InstallationId) -> Result<Vec<OwnedObject>> {
        let client = self.fly.client()?;
        let apps = client.all_apps().await.map_err(|failure| error(failure, "list the apps"))?;
        let mut owners: HashMap<String, RuntimeId> = HashMap::new();
        let mut found = Vec::new();
        let mut add = |runtime: &RuntimeId, kind: &str, id: String| {
            // A volume is its app's.
            let home = matches!(kind, "volume" | "app");
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
}
