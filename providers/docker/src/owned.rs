//! What network and volume have in common: their inputs are only whose they are.

use std::collections::HashMap;

use provider_api::resource::{properties, properties_with};
use provider_api::{Properties, ReadRequest, ReadState, Result};
use provider_kit::inputs::Owned;

use crate::engine::Engine;
use crate::{fence, generation, names};

/// What a read of a found object answers: an import has no inputs, then its labels tell them.
pub(crate) async fn state(
    engine: &Engine,
    kind: &str,
    request: ReadRequest,
    labels: &HashMap<String, String>,
) -> Result<Option<ReadState>> {
    let of_labels = || Some(Owned::new(names::owner(labels)?, names::generation(labels)));
    let Some(mut inputs) = request.known()?.or_else(of_labels) else { return Ok(None) };
    names::must_own(kind, &request.id, labels, &inputs.runtime())?;
    inputs.generation = inputs.generation.max(generation::newest(engine, &inputs.runtime()).await?);
    let outputs = outputs(&inputs, &request.id);
    Ok(Some(ReadState { inputs: properties(&inputs), outputs, id: request.id }))
}

/// Passes when an operation with this fence may make or change the object. What is there already, with
/// these labels, must be ours and of no newer generation.
pub(crate) async fn admit(
    engine: &Engine,
    inputs: &Owned,
    object: (&str, &str),
    labels: Option<&HashMap<String, String>>,
    fence: Option<u64>,
) -> Result<()> {
    let runtime = inputs.runtime().under(fence);
    if let Some(labels) = labels {
        names::must_own(object.0, object.1, labels, &runtime)?;
        let (own, ours) = (names::generation(labels), inputs.generation);
        generation::must_be_newest(engine, object, own, (&runtime, ours)).await?;
    }
    fence::pass(engine, &runtime, object, labels).await
}

pub(crate) fn outputs(inputs: &Owned, name: &str) -> Properties {
    properties_with(inputs, [("name", name.into())])
}
