//! The newest generation that a runtime's objects have seen, so that an older program leaves them alone.
//!
//! Docker writes labels once, so what an update in place raises is kept by a register, as a fence is: an empty volume, and no file
//! in the container, because who is root there could forge it.

use std::collections::HashMap;

use bollard::models::ContainerInspectResponse;
use provider_api::{Result, RuntimeRef};

use crate::container::Inputs;
use crate::engine::Engine;
use crate::{container, names, registers};

/// Passes unless the object itself, made at `own`, or the runtime's container has seen a newer one.
pub(crate) async fn must_be_newest(
    engine: &Engine,
    object: (&str, &str),
    own: u64,
    (runtime, ours): (&RuntimeRef, u64),
) -> Result<()> {
    names::object(object).must_be_newest(ours, own.max(newest(engine, runtime).await?))
}

/// What the runtime's container has seen; 0 when there is none of ours.
pub(crate) async fn newest(engine: &Engine, runtime: &RuntimeRef) -> Result<u64> {
    let name = names::name(&runtime.runtime_id);
    match container::inspect(engine, &name).await? {
        Some(found) if container::owner(&found).is_some_and(|owner| owner.is(runtime)) => {
            of(engine, &found).await
        }
        _ => Ok(0),
    }
}

/// What this container has seen.
pub(crate) async fn of(engine: &Engine, found: &ContainerInspectResponse) -> Result<u64> {
    let none = HashMap::new();
    let labels = found.config.as_ref().and_then(|config| config.labels.as_ref()).unwrap_or(&none);
    let Some(runtime) = names::owner(labels) else { return Ok(names::generation(labels)) };
    let kept = registers::of(engine, &runtime).await?;
    let kept = kept.iter().filter(|volume| names::is_register(&volume.name)).map(|volume| &volume.labels);
    Ok(kept.chain([labels]).map(names::generation).max().unwrap_or_default())
}

/// Keeps that the runtime has seen the generation of these, and what it takes since.
pub(crate) async fn record(engine: &Engine, runtime: &RuntimeRef, inputs: &Inputs) -> Result<()> {
    let generation = inputs.owned.generation;
    let name = names::generation_register(&runtime.runtime_id, generation);
    registers::keep(engine, runtime, &name, inputs.labels(runtime.fence)).await?;
    for lower in registers::of(engine, runtime).await? {
        if names::is_generation_register(&lower.name) && names::generation(&lower.labels) < generation {
            registers::discard(engine, &lower.name).await;
        }
    }
    Ok(())
}
