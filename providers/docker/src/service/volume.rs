//! `pilot:docker:ServiceVolume`: what a service keeps. No change of the service touches it; only an
//! explicit delete removes it.

use std::sync::Arc;

use async_trait::async_trait;
use bollard::models::Volume;
use provider_api::resource::{parse, properties};
use provider_api::{
    CreateRequest, Created, DeleteRequest, Properties, ReadRequest, ReadState, Resource, ResourceSchema,
    Result, UpdateRequest,
};
use serde::{Deserialize, Serialize};

use super::labels;
use crate::failure::Answer;
use crate::hosts::Hosts;
use crate::lasting;
use crate::volume;

const TOKEN: &str = "pilot:docker:ServiceVolume";

pub(crate) struct ServiceVolumeResource {
    pub hosts: Arc<Hosts>,
}

#[derive(Serialize, Deserialize)]
struct Inputs {
    name: String,
    owner: String,
}

impl ServiceVolumeResource {
    async fn find(&self, name: &str) -> Result<Option<Volume>> {
        volume::inspect(self.hosts.first()?, name).await
    }

    /// Docker answers with the existing volume when there is one, whoever's it is.
    async fn make(&self, inputs: &Inputs) -> Answer<Volume> {
        let engine = self.hosts.first()?;
        lasting::make(engine, "create the volume", &inputs.name, labels::owned_by(&inputs.owner)).await
    }
}

#[async_trait]
impl Resource for ServiceVolumeResource {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            token: TOKEN,
            description: "A volume for what a service keeps. Deleting it deletes the service's data.",
            inputs: labels::schema("The volume's name in Docker, which is its id here too."),
            outputs: Vec::new(),
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs: Inputs = parse(&request.inputs)?;
        let volume = match self.find(&inputs.name).await? {
            Some(existing) => existing,
            None => self.make(&inputs).await?,
        };
        labels::must_own("volume", &inputs.name, &volume.labels, &inputs.owner)?;
        Ok(Created { outputs: properties(&inputs), id: inputs.name })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let Some(found) = self.find(&request.id).await? else { return Ok(None) };
        if let Some(known) = request.known::<Inputs>()? {
            labels::must_own("volume", &request.id, &found.labels, &known.owner)?;
        }
        let Some(owner) = labels::owner(&found.labels).cloned() else { return Ok(None) };
        let inputs = properties(&Inputs { name: request.id.clone(), owner });
        Ok(Some(ReadState { outputs: inputs.clone(), inputs, id: request.id }))
    }

    /// Every input replaces.
    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        Ok(properties(&parse::<Inputs>(&request.new_inputs)?))
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let inputs: Inputs = parse(&request.inputs)?;
        let Some(found) = self.find(&inputs.name).await? else { return Ok(()) };
        labels::must_own("volume", &inputs.name, &found.labels, &inputs.owner)?;
        volume::remove(self.hosts.first()?, &inputs.name).await
    }
}
