//! The highest fence that a runtime has seen, see [`provider_api::fence`].
//!
//! Docker writes labels once. So an object says with which fence it was made, and a higher one that comes later
//! is kept by a *register* ([`registers`]): an empty volume that is named after it. It is no file in the container, because who is
//! root there could forge it. A register is made only when a write has a higher fence than all before it; then lower
//! ones go, and the last goes with the runtime's last object.

use std::collections::HashMap;

use bollard::models::Volume;
use provider_api::{Result, RuntimeRef};

use crate::engine::Engine;
use crate::failure::Failure;
use crate::{claim, container, names, network, registers};

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
    let mut volumes = registers::of(engine, runtime).await?;
    volumes.retain(|volume| !claim::is_one(volume));
    let seen = volumes.iter().map(|volume| &volume.labels).chain(labels).filter_map(names::fence).max();
    provider_api::fence::pass(runtime.fence, seen, object)?;
    let is_first = volumes.is_empty() && labels.is_none();
    if is_first || seen == Some(ours) {
        return Ok(());
    }
    let name = names::fence_register(&runtime.runtime_id, ours);
    registers::keep(engine, runtime, &name, names::register_labels(runtime)).await?;
    for lower in volumes.iter().filter(|volume| names::is_fence_register(&volume.name)) {
        registers::discard(engine, &lower.name).await;
    }
    Ok(())
}

/// Removes what keeps the fence when nothing else of the runtime is left. After every delete, also of what was
/// gone already: the one before may have been broken off here.
pub(crate) async fn forget(engine: &Engine, runtime: &RuntimeRef) -> Result<()> {
    forget_of(engine, runtime, registers::of(engine, runtime).await?).await
}

/// The same for who has seen what volumes there are.
pub(crate) async fn forget_of(engine: &Engine, runtime: &RuntimeRef, volumes: Vec<Volume>) -> Result<()> {
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
        Failure::optional(registers::remove(engine, &register.name).await)?;
    }
    Ok(())
}
