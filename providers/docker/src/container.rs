//! `pilot:docker:Container`: the running instance. It holds no user data, so it may be replaced at any
//! time; limits change in place.
//!
//! Docker never restarts it: whether an instance should run is the orchestrator's knowledge, boot
//! files are delivered before every start, and an exit code stays readable. After a restart of the
//! engine or the host the instance is `stopped` until it is started again.

mod enclose;
mod machine;
mod spec;
mod suspend;
mod well;

use std::sync::Arc;

use async_trait::async_trait;
use provider_api::resource::{parse, properties, properties_with};
use provider_api::{
    CreateRequest, Created, DeleteRequest, Properties, Property, PropertyType, ReadRequest, ReadState,
    Resource, ResourceSchema, Result, UpdateRequest,
};
use provider_kit::boot;
use provider_kit::errors;
use provider_kit::inputs::{Git, Owned, egress_property};

use crate::declare::CONTAINER;
use crate::engine::Engine;
use crate::hosts::Hosts;
use crate::{fence, generation, names};

pub(crate) use machine::{Machine, inspect, is_whole, labels, owner, published_port, status, why_it_ended};
pub(crate) use spec::Inputs;

pub(crate) struct ContainerResource {
    pub hosts: Arc<Hosts>,
}

impl ContainerResource {
    fn outputs(engine: &Engine, inputs: &Inputs, port: Option<u16>) -> Properties {
        let name = ("name", names::name(&inputs.owned.runtime_id).into());
        let host = ("host", engine.reached_at().to_string().into());
        properties_with(inputs, [name, host].into_iter().chain(port.map(|port| ("port", port.into()))))
    }
}

#[async_trait]
impl Resource for ContainerResource {
    fn schema(&self) -> ResourceSchema {
        let mut inputs = Owned::properties();
        inputs.extend([
            Property::required("image", PropertyType::String, "The instance image, by its id or its name.")
                .example("pilot-instance:0.1.0"),
            Property::required("network", PropertyType::String, "The network's name.")
                .replaces()
                .example("pilot-rt-0123456789abcdef"),
            Property::required("volume", PropertyType::String, "The home volume's name.")
                .replaces()
                .example("pilot-rt-0123456789abcdef"),
            Property::required("memoryMib", PropertyType::Integer, "Memory limit in MiB; there is no swap.")
                .example("2048"),
            Property::required("cpuMillis", PropertyType::Integer, "CPU limit in thousandths of a core.")
                .example("2000"),
        ]);
        inputs.extend(Git::properties());
        inputs.push(egress_property());
        ResourceSchema {
            token: CONTAINER,
            description: "The container of one runtime. It holds no user data.",
            inputs,
            outputs: vec![
                Property::required("name", PropertyType::String, "The container's name in Docker."),
                Property::required("host", PropertyType::String, "Where the backend's port is published."),
                Property::optional(
                    "port",
                    PropertyType::Integer,
                    "The published port; each start may choose another.",
                ),
            ],
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs: Inputs = parse(&request.inputs)?;
        let files = boot::files(&*self.hosts.config.boot, &inputs.owned.runtime_id).await?;
        let engine = self.hosts.of(&inputs.owned.runtime_id).await?;
        let machine = Machine::new(&engine, inputs.owned.runtime().under(request.fence));
        machine.supply(&inputs).await?;
        let _lock = self.hosts.locks.lock(&inputs.owned.runtime_id).await;
        self.hosts.admit(&engine, &inputs).await?;
        machine.ensure(&inputs).await?;
        // From here on the container exists and must stay owned, whatever happens to it.
        let name = names::name(&inputs.owned.runtime_id);
        let partial =
            |error: provider_api::ProviderError| error.partial(&name, Self::outputs(&engine, &inputs, None));
        let port = machine.run(&files).await.map_err(partial)?;
        Ok(Created { id: name.clone(), outputs: Self::outputs(&engine, &inputs, Some(port)) })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let known: Option<Inputs> = request.known()?;
        let Some(engine) = self.hosts.of_id(&request.id).await? else { return Ok(None) };
        let Some(found) = machine::inspect(&engine, &request.id).await? else { return Ok(None) };
        let Some(mut inputs) = Inputs::of(&found) else { return Ok(None) };
        if let Some(known) = known {
            Machine::new(&engine, known.owned.runtime()).must_own(&found)?;
        }
        // The labels hold what there was at the creation.
        inputs = inputs.seen(generation::seen(&engine, &found).await?);
        let port = machine::published_port(&found);
        let before = request.outputs.get("port").and_then(serde_port);
        let outputs = Self::outputs(&engine, &inputs, port.or(before));
        match Machine::new(&engine, inputs.owned.runtime()).why_not_well(&found).await? {
            Some(why) => {
                Err(errors::is_not_well(("container", &request.id), &why).partial(&request.id, outputs))
            }
            None => Ok(Some(ReadState { outputs, inputs: properties(&inputs), id: request.id })),
        }
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        let inputs: Inputs = parse(&request.new_inputs)?;
        let files = boot::files(&*self.hosts.config.boot, &inputs.owned.runtime_id).await?;
        let engine = self.hosts.of(&inputs.owned.runtime_id).await?;
        let machine = Machine::new(&engine, inputs.owned.runtime().under(request.fence));
        machine.supply(&inputs).await?;
        let _lock = self.hosts.locks.lock(&inputs.owned.runtime_id).await;
        let before = machine.find().await?.as_ref().and_then(Inputs::of);
        if before.is_some_and(|before| inputs.need().exceeds(before.need())) {
            self.hosts.admit(&engine, &inputs).await?;
        }
        let port = machine.update(&inputs, &files).await?;
        let before = request.old_outputs.get("port").and_then(serde_port);
        Ok(Self::outputs(&engine, &inputs, port.or(before)))
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let owned = parse::<Inputs>(&request.inputs)?.owned.removed_under(request.fence);
        let _lock = self.hosts.locks.lock(&owned.runtime_id).await;
        let engine = self.hosts.of(&owned.runtime_id).await?;
        let machine = Machine::new(&engine, owned.runtime().under(request.fence));
        machine.must_be_newest(owned.generation).await?;
        machine.pass().await?;
        machine.remove().await?;
        fence::forget(&engine, &owned.runtime()).await
    }
}

/// A port from outputs, where the wire may have made it floating point.
fn serde_port(value: &serde_json::Value) -> Option<u16> {
    value.as_f64().filter(|port| (1.0..=65535.0).contains(port)).map(|port| port as u16)
}
