//! `pilot:fake:Network`: what all machines of an installation are in. It is in a stack of its own, which is there before the
//! first runtime; who holds its lease works on it, and so it knows no fence.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::InstallationId;
use provider_api::resource::{parse, properties};
use provider_api::{
    CreateRequest, Created, DeleteRequest, Properties, Property, PropertyType, ReadRequest, ReadState,
    Resource, ResourceSchema, Result, UpdateRequest,
};
use provider_kit::errors::keeps_changing;
use provider_kit::inputs::installation_property;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::cloud::Labels;
use crate::declare::NETWORK;
use crate::owner::{LABELS, object};
use crate::volume::ATTEMPTS;

pub(crate) struct NetworkResource {
    pub client: Arc<Client>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Inputs {
    name: String,
    installation: InstallationId,
}

impl Inputs {
    fn may_touch(&self, labels: &Labels) -> Result<()> {
        object("network", &self.name).must_be_in(&self.installation, installation_of(labels).as_ref())
    }
}

fn installation_of(labels: &Labels) -> Option<InstallationId> {
    LABELS.installation(|name| labels.get(name))
}

impl NetworkResource {
    async fn find(&self, name: &str) -> Result<Option<Labels>> {
        self.client.look("look at the network", self.client.cloud().network(name)).await
    }

    /// Find, adopt if it is ours, else create; on a conflict find again.
    async fn ensure(&self, inputs: &Inputs) -> Result<()> {
        for _ in 0..ATTEMPTS {
            if let Some(found) = self.find(&inputs.name).await? {
                return inputs.may_touch(&found);
            }
            let labels = LABELS.of_installation(&inputs.installation);
            let create = self.client.cloud().create_network(&inputs.name, labels);
            if self.client.change("create the network", create).await?.is_some() {
                return Ok(());
            }
        }
        Err(keeps_changing(("network", &inputs.name)))
    }
}

#[async_trait]
impl Resource for NetworkResource {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            token: NETWORK,
            description: "The network of an installation: all of its machines are in it.",
            inputs: vec![
                Property::required("name", PropertyType::String, "The network's name in the cloud.")
                    .replaces()
                    .example("pilot-in-fedcba9876543210-team"),
                installation_property(),
            ],
            outputs: Vec::new(),
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs: Inputs = parse(&request.inputs)?;
        self.ensure(&inputs).await?;
        Ok(Created { id: inputs.name.clone(), outputs: properties(&inputs) })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let Some(found) = self.find(&request.id).await? else { return Ok(None) };
        if let Some(known) = request.known::<Inputs>()? {
            known.may_touch(&found)?;
        }
        let Some(installation) = installation_of(&found) else { return Ok(None) };
        let inputs = properties(&Inputs { name: request.id.clone(), installation });
        Ok(Some(ReadState { id: request.id, outputs: inputs.clone(), inputs }))
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        let inputs: Inputs = parse(&request.new_inputs)?;
        self.ensure(&inputs).await?;
        Ok(properties(&inputs))
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let inputs: Inputs = parse(&request.inputs)?;
        let Some(found) = self.find(&inputs.name).await? else { return Ok(()) };
        inputs.may_touch(&found)?;
        // What another has deleted meanwhile is deleted.
        let delete = self.client.cloud().delete_network(&inputs.name);
        self.client.change("delete the network", delete).await.map(drop)
    }
}
