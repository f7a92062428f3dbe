//! `pilot:fake:Volume`: the instance's home, the only user data. No change but another region touches it;
//! only an explicit delete removes it.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::{InstallationId, RuntimeId};
use provider_api::resource::{parse, properties};
use provider_api::{
    CreateRequest, Created, DeleteRequest, Properties, Property, PropertyType, ProviderError, ReadRequest,
    ReadState, Resource, ResourceSchema, Result, Source, UpdateRequest,
};
use serde::{Deserialize, Serialize};

use crate::client::{Client, restless};
use crate::cloud::Volume;
use crate::declare::VOLUME;
use crate::owner::{self, Owner};
use crate::{fence, snapshots};

pub(crate) const ATTEMPTS: usize = 10;

pub(crate) struct VolumeResource {
    pub client: Arc<Client>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inputs {
    runtime_id: RuntimeId,
    installation: InstallationId,
    generation: u64,
    region: String,
}

impl Inputs {
    fn owner(&self) -> Owner {
        Owner::new(&self.runtime_id, &self.installation, self.generation)
    }

    /// The inputs that would make this volume; `None` when it is not one of Pilot's.
    fn of(volume: &Volume) -> Option<Self> {
        let Owner { runtime, generation } = Owner::of(&volume.labels)?;
        let (runtime_id, installation) = (runtime.runtime_id, runtime.installation);
        Some(Self { runtime_id, installation, generation, region: volume.region.clone() })
    }

    fn outputs(&self) -> Properties {
        let mut outputs = properties(self);
        outputs.insert("name".to_owned(), owner::volume_name(&self.runtime_id).into());
        outputs
    }
}

/// The properties that every resource of this provider has.
pub(crate) fn common_inputs() -> Vec<Property> {
    vec![
        Property::required("runtimeId", PropertyType::String, "The runtime that it serves.")
            .replaces()
            .example("rt-0123456789abcdef"),
        Property::required("installation", PropertyType::String, "The installation that owns it.")
            .replaces()
            .example("in-fedcba9876543210"),
        Property::required("generation", PropertyType::Integer, "Rises with every change of the spec."),
        Property::required("region", PropertyType::String, "Where it is.").replaces(),
    ]
}

impl VolumeResource {
    async fn find(&self, name: &str) -> Result<Option<Volume>> {
        self.client.look("look at the volume", self.client.cloud().volume(name)).await
    }

    /// Find, adopt if it is ours, else create where that is what is asked for; on a conflict find again.
    /// Only what is made begins with a source.
    async fn ensure(
        &self,
        inputs: &Inputs,
        fence: Option<u64>,
        (creates, source): (bool, Option<&Source>),
    ) -> Result<()> {
        let (name, owner) = (owner::volume_name(&inputs.runtime_id), inputs.owner().under(fence));
        fence::pass(&self.client, &owner.runtime).await?;
        let cloud = self.client.cloud().under(fence);
        for _ in 0..ATTEMPTS {
            let done = match self.find(&name).await? {
                Some(found) => {
                    owner.may_change("volume", &name, &found.labels)?;
                    let relabel = cloud.label_volume(&name, found.version, owner.labels_over(&found.labels));
                    self.client.change("label the volume", relabel).await?
                }
                None if !creates => return Err(ProviderError::gone(("volume", &name))),
                None => {
                    let from = snapshots::source(&self.client, &owner.runtime, source).await?;
                    let volume = Volume::new(&inputs.region, owner.labels());
                    self.client.change("create the volume", cloud.create_volume(&name, volume, from)).await?
                }
            };
            if done.is_some() {
                return Ok(());
            }
        }
        Err(restless("volume", &name))
    }
}

#[async_trait]
impl Resource for VolumeResource {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            token: VOLUME,
            description: "The home of one runtime. Deleting it deletes the user's files.",
            inputs: common_inputs().into_iter().chain(Source::properties()).collect(),
            outputs: vec![Property::required(
                "name",
                PropertyType::String,
                "The volume's name in the cloud.",
            )],
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs: Inputs = parse(&request.inputs)?;
        let source = Source::read(&request.inputs)?;
        self.ensure(&inputs, request.fence, (true, source.as_ref())).await?;
        Ok(Created { id: owner::volume_name(&inputs.runtime_id), outputs: inputs.outputs() })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let Some(found) = self.find(&request.id).await? else { return Ok(None) };
        if !request.inputs.is_empty() {
            let known: Inputs = parse(&request.inputs)?;
            owner::must_own("volume", &request.id, &found.labels, &known.owner().runtime)?;
        }
        let Some(inputs) = Inputs::of(&found) else { return Ok(None) };
        Ok(Some(ReadState { id: request.id, inputs: properties(&inputs), outputs: inputs.outputs() }))
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        let inputs: Inputs = parse(&request.new_inputs)?;
        self.ensure(&inputs, request.fence, (false, None)).await?;
        Ok(inputs.outputs())
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let owner = parse::<Inputs>(&request.inputs)?.owner().under(request.fence);
        // By whose it is: who has lost the id can delete it, too.
        let name = owner::volume_name(&owner.runtime.runtime_id);
        fence::pass(&self.client, &owner.runtime).await?;
        let cloud = self.client.cloud().under(request.fence);
        for _ in 0..ATTEMPTS {
            let Some(found) = self.find(&name).await? else { return Ok(()) };
            owner.may_change("volume", &name, &found.labels)?;
            let delete = cloud.delete_volume(&name, found.version);
            self.client.change("delete the volume", delete).await?;
        }
        Err(restless("volume", &name))
    }
}
