//! The highest fence that a runtime has seen, see [`provider_api::fence`].
//!
//! Docker writes labels once. So an object says with which fence it was made, and a higher one that comes later
//! is kept by a *register*: an empty volume that is named after it. It is no file in the container, because who is
//! root there could forge it. A register is made only when a write has a higher fence than all before it; then lower
//! ones go, and the last goes with the runtime's last object.

use std::collections::HashMap;

use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};
use contracts::RuntimeId;
use provider_api::{Result, RuntimeRef};

use crate::engine::Engine;
use crate::failure::{Answer, Failure};
use crate::{container, names, network};

/// What every write asks before it acts: passes unless the runtime has seen a higher fence, and keeps one that
/// is higher than all before. `labels` are the object's, when it is there already; what is made next and first
/// says it by its own.
///
/// One list of volumes, and nothing without a fence. It is enough: the home's label and the registers know of all
/// that came after the home was made, and before that there is only the network.
pub(crate) async fn pass(
    engine: &Engine,
    runtime: &RuntimeRef,
    object: (&str, &str),
    labels: Option<&HashMap<String, String>>,
) -> Result<()> {
    let Some(ours) = runtime.fence else { return Ok(()) };
    let volumes = owned(engine, runtime).await?;
    let seen = volumes.iter().map(|volume| &volume.labels).chain(labels).filter_map(names::fence).max();
    provider_api::fence::pass(runtime.fence, seen, object)?;
    let is_first = volumes.is_empty() && labels.is_none();
    if is_first || seen == Some(ours) {
        return Ok(());
    }
    keep(engine, runtime, ours).await?;
    for lower in volumes.iter().filter(|volume| names::is_register(&volume.name)) {
        // One that stays says nothing new, and goes with the runtime.
        if let Err(failure) = remove(engine, &lower.name).await {
            let error = provider_api::ProviderError::from(failure);
            tracing::debug!(%error, volume = lower.name, "a lower fence could not be removed");
        }
    }
    Ok(())
}

/// Removes what keeps the fence when nothing else of the runtime is left. After every delete, also of what was
/// gone already: the one before may have been broken off here.
pub(crate) async fn forget(engine: &Engine, runtime: &RuntimeRef) -> Result<()> {
    let volumes = owned(engine, runtime).await?;
    if volumes.is_empty() || volumes.iter().any(|volume| !names::is_register(&volume.name)) {
        return Ok(());
    }
    let container = container::inspect(engine, &names::name(&runtime.runtime_id)).await?;
    let is_ours = |owner: RuntimeRef| owner.is(runtime);
    if container.as_ref().and_then(container::owner).is_some_and(is_ours)
        || network::is_there(engine, runtime).await?
    {
        return Ok(());
    }
    for register in volumes {
        Failure::optional(remove(engine, &register.name).await)?;
    }
    Ok(())
}

/// Whether anything keeps a fence of this runtime here, or its home does.
pub(crate) async fn has_any(engine: &Engine, runtime: &RuntimeId) -> Result<bool> {
    Ok(!volumes(engine, runtime).await?.is_empty())
}

/// The runtime's home and registers. What another installation calls so says nothing.
async fn owned(engine: &Engine, runtime: &RuntimeRef) -> Result<Vec<Volume>> {
    let mut found = volumes(engine, &runtime.runtime_id).await?;
    found.retain(|volume| names::owner(&volume.labels).is_some_and(|owner| owner.is(runtime)));
    Ok(found)
}

async fn volumes(engine: &Engine, runtime: &RuntimeId) -> Result<Vec<Volume>> {
    let docker = engine.docker().await?;
    let filters = HashMap::from([("label".to_owned(), vec![format!("{}={runtime}", names::RUNTIME)])]);
    let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let listed = engine.ask("look for the fence", docker.list_volumes(Some(options))).await?;
    Ok(listed.volumes.unwrap_or_default())
}

async fn keep(engine: &Engine, runtime: &RuntimeRef, fence: u64) -> Result<()> {
    let docker = engine.docker().await?;
    let name = names::register(&runtime.runtime_id, fence);
    let body = VolumeCreateRequest {
        name: Some(name.clone()),
        driver: Some("local".to_owned()),
        labels: Some(names::register_labels(runtime)),
        ..Default::default()
    };
    // Docker answers with the existing volume when there is one, whoever's it is.
    let kept = engine.ask("keep the fence", docker.create_volume(body)).await?;
    names::must_own("volume", &name, &kept.labels, runtime)
}

async fn remove(engine: &Engine, name: &str) -> Answer<()> {
    let docker = engine.docker().await?;
    engine.ask("remove a fence", docker.remove_volume(name, None::<RemoveVolumeOptions>)).await
}
