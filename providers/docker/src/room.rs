//! How much of a host is promised, from what lists alone say: of hosts far away a look at each container would be many calls.

use std::collections::HashMap;

use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
};
use contracts::RuntimeId;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use provider_api::Result;

use crate::engine::Engine;
use crate::placement::{MIB, Need, Room};
use crate::{container, declare, names};

/// Of those that have to be looked at: containers of an older Pilot do not say what they take.
const AT_ONCE: usize = 4;

/// What is true of a host for an instance of this image. `chosen`: what goes there and does not show yet.
pub(crate) async fn of(engine: &Engine, image: &str, chosen: &HashMap<RuntimeId, Need>) -> Result<Room> {
    let docker = engine.docker().await?;
    let (info, has_image, promised) = tokio::join!(
        engine.ask("ask what the host has", docker.info()),
        engine.has_image(image),
        promised(engine),
    );
    let (info, has_image, mut promised) = (info?, has_image?, promised?);
    for (runtime, need) in chosen {
        promised.entry(runtime.clone()).or_insert(*need);
    }
    Ok(Room {
        host: engine.host.name.clone(),
        has_image,
        total: Need {
            memory_mib: info.mem_total.unwrap_or_default() / MIB,
            cpu_millis: info.ncpu.unwrap_or_default() * 1000,
        },
        promised,
    })
}

/// Of every runtime, whoever owns it: what its last change in place has said, else what its container was made with. One that
/// has a network alone, made by another program a moment ago, takes what the smallest does.
async fn promised(engine: &Engine) -> Result<HashMap<RuntimeId, Need>> {
    let docker = engine.docker().await?;
    let filters = HashMap::from([("label".to_owned(), vec![names::LABELS.runtime.to_owned()])]);
    let containers = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let networks = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let volumes = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let (containers, networks, volumes) = tokio::join!(
        engine.ask("list containers", docker.list_containers(Some(containers))),
        engine.ask("list networks", docker.list_networks(Some(networks))),
        engine.ask("list volumes", docker.list_volumes(Some(volumes))),
    );
    let mut promised = HashMap::new();
    for network in networks? {
        if let Some(owner) = network.labels.as_ref().and_then(names::owner) {
            promised.insert(owner.runtime_id, declare::smallest());
        }
    }
    let (mut said, mut silent) = (HashMap::new(), Vec::new());
    for found in containers? {
        let labels = found.labels.unwrap_or_default();
        match (names::owner(&labels), names::need(&labels)) {
            (Some(owner), Some(need)) => {
                said.insert(owner.runtime_id, (names::generation(&labels), need));
            }
            (Some(_), None) => silent.extend(found.id),
            (None, _) => {}
        }
    }
    let looks = stream::iter(silent).map(|id| async move { container::inspect(engine, &id).await });
    for found in looks.buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?.into_iter().flatten() {
        if let Some(inputs) = container::Inputs::of(&found) {
            said.insert(inputs.owned.runtime_id.clone(), (inputs.owned.generation, inputs.need()));
        }
    }
    for volume in volumes?.volumes.unwrap_or_default() {
        let (Some(owner), Some(need)) = (names::owner(&volume.labels), names::need(&volume.labels)) else {
            continue;
        };
        let generation = names::generation(&volume.labels);
        let newest = said.entry(owner.runtime_id).or_insert((generation, need));
        if newest.0 <= generation {
            *newest = (generation, need);
        }
    }
    promised.extend(said.into_iter().map(|(runtime, (_, need))| (runtime, need)));
    Ok(promised)
}
