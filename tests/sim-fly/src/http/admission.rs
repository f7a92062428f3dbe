//! Whether there is a place for a machine: region, name, secrets, quota, room, and its volume.

use http::StatusCode;

use crate::core::Core;
use crate::error::{Answer, Refusal};
use crate::world::World;

pub fn region(core: &Core, wanted: &str) -> Answer<String> {
    let regions = &core.settings.regions;
    let found =
        if wanted.is_empty() { regions.first() } else { regions.iter().find(|region| region.code == wanted) };
    let found = found.ok_or_else(|| Refusal::bad(format!("invalid_argument: unknown region {wanted:?}")))?;
    Ok(found.code.clone())
}

/// Quota, name, secrets and room.
pub fn admit(
    core: &Core,
    world: &World,
    org: &str,
    app: &str,
    (name, secrets): (&str, Option<u64>),
    region: &str,
) -> Answer<()> {
    let owner = world.app(org, app)?;
    if let Some(holder) = owner.names.get(name) {
        let words = format!(
            "already_exists: unique machine name violation, machine ID {holder} already exists with name {name:?}"
        );
        return Err(Refusal::conflict(words));
    }
    secrets_are_known(owner.secrets_version, secrets)?;
    if let Some(quota) = core.settings.quota {
        let used = world.living(|machine| world.apps.get(&machine.app).is_some_and(|app| app.org == org));
        if used >= quota {
            let words = format!(
                "Your organization has reached its machine limit: {used} of {quota} are used, which is over the allowed quota"
            );
            return Err(Refusal::new(StatusCode::FORBIDDEN, words));
        }
    }
    let capacity =
        core.settings.regions.iter().find(|known| known.code == region).and_then(|known| known.capacity);
    if capacity.is_some_and(|room| world.living(|machine| machine.region == region) >= room) {
        let words = "aborted: could not reserve resource for machine: insufficient memory available to fulfill request";
        return Err(Refusal::conflict(words).because("insufficient_capacity"));
    }
    Ok(())
}

pub fn secrets_are_known(version: u64, wanted: Option<u64>) -> Answer<()> {
    match wanted {
        Some(wanted) if wanted > version => {
            Err(Refusal::precondition(format!("secrets version {wanted} is not available yet")))
        }
        _ => Ok(()),
    }
}

pub fn attach(
    core: &Core,
    world: &mut World,
    org: &str,
    app: &str,
    volume: &str,
    region: &str,
    id: &str,
) -> Answer<()> {
    let tight = core.settings.tight_hosts;
    let volume = world.volume_mut(org, app, volume)?;
    if volume.state != "created" {
        return Err(Refusal::precondition(format!("volume {} is {}", volume.id, volume.state)));
    }
    if volume.region != region {
        return Err(Refusal::bad(format!(
            "invalid_argument: volume {} is in the region {}",
            volume.id, volume.region
        )));
    }
    if let Some(machine) = &volume.attached_machine {
        return Err(Refusal::precondition(format!("volume {} is in use by machine {machine}", volume.id)));
    }
    if tight && !volume.has_compute_hint {
        let words =
            format!("insufficient resources to create new machine with existing volume '{}'", volume.id);
        return Err(Refusal::precondition(words).because("insufficient_capacity"));
    }
    volume.attached_machine = Some(id.to_owned());
    Ok(())
}
