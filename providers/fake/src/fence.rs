//! The highest fence that a runtime has seen, and what it refuses.
//!
//! The volume keeps it for the whole runtime, because it is made first and goes last. The machine keeps it as well: each
//! write of it is of the version that was looked at, and so nothing comes between the look and the write.

use provider_api::{Result, RuntimeRef};
use provider_kit::errors::keeps_changing;
use provider_kit::owner::Owner;

use crate::client::Client;
use crate::owner::{self, LABELS, Labels};
use crate::volume::ATTEMPTS;

/// What every write asks before it acts: passes unless the runtime has seen a higher fence, and keeps one
/// that is higher than all before. An object that is not this runtime's says nothing here.
pub(crate) async fn pass(client: &Client, runtime: &RuntimeRef) -> Result<()> {
    if runtime.fence.is_none() {
        return Ok(());
    }
    let (volume, machine) =
        (owner::volume_name(&runtime.runtime_id), owner::machine_name(&runtime.runtime_id));
    let cloud = client.cloud().under(runtime.fence);
    for _ in 0..ATTEMPTS {
        let home = client.look("look at the volume", cloud.volume(&volume)).await?;
        let home = home.and_then(|home| Some((owned(&home.labels, runtime)?, home)));
        let found = client.look("look at the machine", cloud.machine(&machine)).await?;
        let found = found.and_then(|found| Some((owned(&found.labels, runtime)?, found)));
        let of_home = home.as_ref().and_then(|(owner, _)| owner.runtime.fence);
        let of_found = found.as_ref().and_then(|(owner, _)| owner.runtime.fence);
        provider_api::fence::pass(runtime.fence, of_found.max(of_home), ("machine", &machine))?;
        // On both, so that whoever has looked at either before has looked at another version.
        let mut kept = Some(());
        if let Some((owner, found)) = found.filter(|_| of_found < runtime.fence) {
            let labels = LABELS.of(&owner.under(runtime.fence));
            let keep = cloud.change_machine(&machine, found.version, labels, &found.spec);
            kept = kept.and(client.change("keep the fence", keep).await?);
        }
        if let Some((owner, home)) = home.filter(|_| of_home < runtime.fence) {
            let labels = LABELS.of(&owner.under(runtime.fence));
            let keep = cloud.label_volume(&volume, home.version, labels);
            kept = kept.and(client.change("keep the fence", keep).await?);
        }
        // Where there is neither, what is made next is labelled with it.
        if kept.is_some() {
            return Ok(());
        }
    }
    Err(keeps_changing(("volume", &volume)))
}

/// The owner, if it is this runtime.
fn owned(labels: &Labels, runtime: &RuntimeRef) -> Option<Owner> {
    owner::of(labels).filter(|owner| owner.runtime.is(runtime))
}
