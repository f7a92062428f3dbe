//! What has to be kept of a runtime beside its objects, because Docker writes labels once: empty volumes that say it by theirs. They go
//! with the runtime's last object.

use std::collections::HashMap;

use bollard::models::Volume;
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};
use contracts::RuntimeId;
use provider_api::{ProviderError, Result, RuntimeRef};

use crate::engine::Engine;
use crate::failure::Answer;
use crate::{lasting, names};

/// The runtime's home and registers. What another installation calls so says nothing.
pub(crate) async fn of(engine: &Engine, runtime: &RuntimeRef) -> Result<Vec<Volume>> {
    let mut found = all(engine, &runtime.runtime_id).await?;
    found.retain(|volume| names::owner(&volume.labels).is_some_and(|owner| owner.is(runtime)));
    Ok(found)
}

/// The same, of whatever installation.
pub(crate) async fn all(engine: &Engine, runtime: &RuntimeId) -> Result<Vec<Volume>> {
    let docker = engine.docker().await?;
    let filters = HashMap::from([("label".to_owned(), vec![format!("{}={runtime}", names::LABELS.runtime)])]);
    let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let listed = engine.ask("look for the fence", docker.list_volumes(Some(options))).await?;
    Ok(listed.volumes.unwrap_or_default())
}

pub(crate) async fn keep(
    engine: &Engine,
    runtime: &RuntimeRef,
    name: &str,
    labels: HashMap<String, String>,
) -> Result<()> {
    let kept = lasting::make(engine, "keep the fence", name, labels).await?;
    names::must_own("volume", name, &kept.labels, runtime)
}

/// Removes one that says nothing new any more. If it stays, it goes with the runtime.
pub(crate) async fn discard(engine: &Engine, name: &str) {
    if let Err(failure) = remove(engine, name).await {
        let error = ProviderError::from(failure);
        tracing::debug!(%error, volume = name, "a register that is not needed any more could not be removed");
    }
}

pub(crate) async fn remove(engine: &Engine, name: &str) -> Answer<()> {
    let docker = engine.docker().await?;
    engine.ask("remove a fence", docker.remove_volume(name, None::<RemoveVolumeOptions>)).await
}
