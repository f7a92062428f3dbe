//! The newest generation that a runtime's objects have seen, so that an older program leaves them alone.
//!
//! Docker writes labels once, so what an update in place raises is kept by a register, as a fence is: an empty volume, and no file
//! in the container, because who is root there could forge it.

use std::collections::HashMap;

use bollard::models::ContainerInspectResponse;
use contracts::egress::EgressAllow;
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

/// What a container has seen since it was made.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub generation: u64,
    /// Its list of destinations.
    pub egress: Option<EgressAllow>,
}

/// The generation of it alone.
pub(crate) async fn of(engine: &Engine, found: &ContainerInspectResponse) -> Result<u64> {
    Ok(seen(engine, found).await?.generation)
}

/// What this container has seen.
pub(crate) async fn seen(engine: &Engine, found: &ContainerInspectResponse) -> Result<Seen> {
    let none = HashMap::new();
    let labels = found.config.as_ref().and_then(|config| config.labels.as_ref()).unwrap_or(&none);
    let of = |labels: &HashMap<String, String>| Seen {
        generation: names::generation(labels),
        egress: names::egress(labels),
    };
    let Some(runtime) = names::owner(labels) else { return Ok(of(labels)) };
    let kept = registers::of(engine, &runtime).await?;
    let fences = kept.iter().filter(|volume| names::is_fence_register(&volume.name));
    let highest = fences.map(|volume| names::generation(&volume.labels)).max().unwrap_or_default();
    // Of one generation, the register was written later.
    let kept = kept.iter().filter(|volume| names::is_generation_register(&volume.name));
    let newest = std::iter::once(of(labels)).chain(kept.map(|volume| of(&volume.labels)));
    let newest = newest.max_by_key(|seen| seen.generation).unwrap_or_default();
    Ok(Seen { generation: newest.generation.max(highest), ..newest })
}

/// Keeps that the runtime has seen the generation of these, and what it takes since.
pub(crate) async fn record(engine: &Engine, runtime: &RuntimeRef, inputs: &Inputs) -> Result<()> {
    let generation = inputs.owned.generation;
    let name = names::generation_register(&runtime.runtime_id, generation);
    let labels = inputs.labels(runtime.fence);
    let kept = registers::of(engine, runtime).await?;
    // Docker writes labels once. Who edits a stack by hand changes a list and no generation.
    if kept.iter().any(|volume| volume.name == name && names::egress(&volume.labels) != inputs.egress_allow) {
        registers::discard(engine, &name).await;
    }
    registers::keep(engine, runtime, &name, labels).await?;
    for lower in kept {
        if names::is_generation_register(&lower.name) && names::generation(&lower.labels) < generation {
            registers::discard(engine, &lower.name).await;
        }
    }
    Ok(())
}
