//! `pilot:docker:Network`: a bridge of the runtime's own, so that instances do not see each other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bollard::models::{Ipam, IpamConfig, Network, NetworkCreateRequest};
use bollard::query_parameters::{InspectNetworkOptions, ListNetworksOptionsBuilder};
use contracts::{ErrorCode, InstallationId, RuntimeId};
use provider_api::resource::parse;
use provider_api::{
    CreateRequest, Created, DeleteRequest, Properties, Property, PropertyType, ProviderError, ReadRequest,
    ReadState, Resource, ResourceSchema, Result, RuntimeRef, UpdateRequest,
};
use provider_kit::inputs::Owned;
use provider_kit::wait;
use tokio::time::Instant;

use crate::declare::NETWORK;
use crate::engine::Engine;
use crate::failure::{Answer, Failure};
use crate::hosts::Hosts;
use crate::{egress, fence, names, owned};

/// A stopping container leaves its network a moment after it is gone.
const DETACH: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);
const BRIDGE: &str = "com.docker.network.bridge.name";

pub(crate) struct NetworkResource {
    pub hosts: Arc<Hosts>,
}

/// Makes it, unless it is there. A subnet that another network has is passed over.
pub(crate) async fn make(
    engine: &Engine,
    runtime: &RuntimeRef,
    generation: u64,
    is_listed: bool,
) -> Result<()> {
    let body = body(runtime, generation, is_listed);
    let Some(pool) = engine.subnets else { return try_make(engine, body).await };
    for subnet in pool.subnets(runtime.runtime_id.as_str()) {
        let config = vec![IpamConfig { subnet: Some(subnet), ..Default::default() }];
        let ipam = Some(Ipam { config: Some(config), ..Default::default() });
        match try_make(engine, NetworkCreateRequest { ipam, ..body.clone() }).await {
            Err(error) if error.message.contains("overlaps") => {}
            answer => return answer,
        }
    }
    let message = "every subnet of PILOT_DOCKER_SUBNETS is taken on this Docker host";
    Err(ProviderError::new(ErrorCode::ProviderCapacity, message)
        .with_action("Delete workspaces, or give a larger range."))
}

async fn try_make(engine: &Engine, body: NetworkCreateRequest) -> Result<()> {
    let docker = engine.docker().await?;
    match engine.ask("create the network", docker.create_network(body)).await {
        Ok(_) | Err(Failure::Conflict(_)) => Ok(()),
        // Somebody was faster, and this engine would have had two of one name.
        Err(Failure::Other(error)) if error.message.contains("same bridge name") => Ok(()),
        Err(other) => Err(other.into()),
    }
}

fn body(runtime: &RuntimeRef, generation: u64, is_listed: bool) -> NetworkCreateRequest {
    let options = [
        // Nothing else belongs on this bridge; should something get there, it is not reached.
        ("com.docker.network.bridge.enable_icc".to_owned(), "false".to_owned()),
        (BRIDGE.to_owned(), egress::bridge(&runtime.installation, &runtime.runtime_id, is_listed)),
    ];
    NetworkCreateRequest {
        name: names::name(&runtime.runtime_id),
        driver: Some("bridge".to_owned()),
        options: Some(options.into()),
        labels: Some(names::labels(runtime, generation)),
        ..Default::default()
    }
}

async fn remove(engine: &Engine, id: &str, runtime: &RuntimeId) -> Result<()> {
    let docker = engine.docker().await?;
    let is_in_use = |failure: &Failure| match failure {
        Failure::Conflict(_) => true,
        Failure::Other(error) => error.message.contains("active endpoints"),
        Failure::Absent(_) => false,
    };
    let deadline = Instant::now() + DETACH;
    let removed = wait::while_refused(deadline, PAUSE, is_in_use, || async {
        let refused = match engine.ask("remove the network", docker.remove_network(id)).await {
            Err(failure) if is_in_use(&failure) => failure,
            answer => return answer,
        };
        // What is not ours does not leave by itself.
        must_have_no_strangers(engine, id, runtime).await?;
        Err(refused)
    });
    Failure::optional(removed.await).map(drop)
}

/// Whether rules know the runtime's network. One of an older Pilot has a bridge whose name Docker has chosen. True where there is
/// none: whoever needs it says so. `is_listed`: as that of a runtime with a list of destinations.
pub(crate) async fn is_closed(engine: &Engine, runtime: &RuntimeRef, is_listed: bool) -> Result<bool> {
    let wanted = egress::bridge(&runtime.installation, &runtime.runtime_id, is_listed);
    let found = settle(engine, runtime).await?;
    Ok(found.is_none_or(|found| self::bridge(&found) == Some(&wanted)))
}

/// Makes it anew, by itself: nothing may be connected to it.
pub(crate) async fn remake(engine: &Engine, runtime: &RuntimeRef, is_listed: bool) -> Result<()> {
    let Some(found) = settle(engine, runtime).await? else { return Ok(()) };
    let generation = names::generation(&labels(&found));
    remove(engine, found.id.as_deref().unwrap_or_default(), &runtime.runtime_id).await?;
    if !is_listed {
        egress::lift(engine, runtime).await?;
    }
    make(engine, runtime, generation, is_listed).await
}

/// Whether the installation has any on this host.
pub(crate) async fn is_any(engine: &Engine, installation: &InstallationId) -> Result<bool> {
    let docker = engine.docker().await?;
    let filters = names::owned_by(installation);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    Ok(!engine.ask("list networks", docker.list_networks(Some(options))).await?.is_empty())
}

/// Every network of this name, the oldest first. Older engines let two callers make one each.
async fn find(engine: &Engine, name: &str) -> Answer<Vec<Network>> {
    let docker = engine.docker().await?;
    let filters = HashMap::from([("name".to_owned(), vec![name.to_owned()])]);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let mut found = engine.ask("list networks", docker.list_networks(Some(options))).await?;
    // The filter matches parts of names.
    found.retain(|network| network.name.as_deref() == Some(name));
    found.sort_by_cached_key(|network| {
        let created = network.created.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        (created, network.id.clone())
    });
    Ok(found)
}

/// Passes when nothing but the runtime's own container is connected to its network, or there is none.
pub(crate) async fn must_have_no_strangers(engine: &Engine, id: &str, runtime: &RuntimeId) -> Result<()> {
    let docker = engine.docker().await?;
    let look = docker.inspect_network(id, None::<InspectNetworkOptions>);
    let found = Failure::optional(engine.ask("look at the network", look).await)?;
    let endpoints = found.and_then(|network| network.containers).unwrap_or_default();
    let ours = names::name(runtime);
    let mut strangers: Vec<_> = endpoints
        .into_iter()
        .map(|(id, endpoint)| endpoint.name.filter(|name| !name.is_empty()).unwrap_or(id))
        .filter(|name| *name != ours)
        .collect();
    if strangers.is_empty() {
        return Ok(());
    }
    strangers.sort();
    let message = format!(
        "the network {ours} cannot be removed: Pilot did not connect these containers to it, and they still are: {}",
        strangers.join(", ")
    );
    let disconnect = |name: &String| format!("`docker network disconnect {ours} {name}`");
    let all: Vec<_> = strangers.iter().map(disconnect).collect();
    Err(ProviderError::new(ErrorCode::ProviderFailed, message)
        .with_action(format!("Disconnect them, then delete again: {}.", all.join(", "))))
}

/// The runtime's network, if there is one. Of several it leaves the oldest, on which every caller
/// agrees; while there are several, no container can start on the name.
pub(crate) async fn settle(engine: &Engine, runtime: &RuntimeRef) -> Result<Option<Network>> {
    let name = names::name(&runtime.runtime_id);
    let found = find(engine, &name).await?;
    for network in &found {
        names::must_own("network", &name, &labels(network), runtime)?;
    }
    let docker = engine.docker().await?;
    for id in found.iter().skip(1).filter_map(|network| network.id.as_deref()) {
        tracing::warn!(id, "a second network of one runtime is removed");
        Failure::optional(engine.ask("remove the double network", docker.remove_network(id)).await)?;
    }
    Ok(found.into_iter().next())
}

/// Whether a network of the runtime is there.
pub(crate) async fn is_there(engine: &Engine, runtime: &RuntimeRef) -> Result<bool> {
    let found = find(engine, &names::name(&runtime.runtime_id)).await?;
    Ok(found.iter().any(|network| names::owner(&labels(network)).is_some_and(|owner| owner.is(runtime))))
}

fn bridge(network: &Network) -> Option<&String> {
    network.options.as_ref()?.get(BRIDGE)
}

fn labels(network: &Network) -> HashMap<String, String> {
    network.labels.clone().unwrap_or_default()
}

#[async_trait]
impl Resource for NetworkResource {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            token: NETWORK,
            description: "The bridge network of one runtime.",
            inputs: Owned::properties(),
            outputs: vec![Property::required("name", PropertyType::String, "The network's name in Docker.")],
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs: Owned = parse(&request.inputs)?;
        let name = names::name(&inputs.runtime_id);
        let _lock = self.hosts.locks.lock(&inputs.runtime_id).await;
        let engine = self.hosts.place(&inputs.runtime()).await?;
        let runtime = inputs.runtime().under(request.fence);
        let found = settle(&engine, &runtime).await?.map(|found| labels(&found));
        owned::admit(&engine, &inputs, ("network", &name), found.as_ref(), request.fence).await?;
        if found.is_none() {
            make(&engine, &runtime, inputs.generation, false).await?;
            settle(&engine, &runtime).await?;
        }
        Ok(Created { id: name.clone(), outputs: owned::outputs(&inputs, &name) })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let Some(engine) = self.hosts.of_id(&request.id).await? else { return Ok(None) };
        let found = find(&engine, &request.id).await?;
        let Some(network) = found.first() else { return Ok(None) };
        owned::state(&engine, "network", request, &labels(network)).await
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        let inputs: Owned = parse(&request.new_inputs)?;
        let engine = self.hosts.of(&inputs.runtime_id).await?;
        let (found, object) = (find(&engine, &request.id).await?, ("network", request.id.as_str()));
        let found = labels(found.first().ok_or_else(|| ProviderError::gone(object))?);
        owned::admit(&engine, &inputs, object, Some(&found), request.fence).await?;
        Ok(owned::outputs(&inputs, &request.id))
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let inputs = parse::<Owned>(&request.inputs)?.removed_under(request.fence);
        let name = names::name(&inputs.runtime_id);
        let _lock = self.hosts.locks.lock(&inputs.runtime_id).await;
        let engine = self.hosts.of(&inputs.runtime_id).await?;
        let found = find(&engine, &name).await?;
        // Of several, all are looked at before the first goes.
        for network in &found {
            owned::admit(&engine, &inputs, ("network", &name), Some(&labels(network)), request.fence).await?;
        }
        let listed = egress::bridge(&inputs.installation, &inputs.runtime_id, true);
        if found.iter().any(|network| bridge(network) == Some(&listed)) {
            egress::lift(&engine, &inputs.runtime()).await?;
        }
        for network in &found {
            remove(&engine, network.id.as_deref().unwrap_or(&name), &inputs.runtime_id).await?;
        }
        egress::open_unless_needed(&engine, &inputs.installation).await?;
        self.hosts.gave_up(&inputs.runtime()).await;
        fence::forget(&engine, &inputs.runtime()).await
    }
}
