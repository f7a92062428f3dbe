//! `pilot:fake:Volume`: the instance's home, the only user data. No change but another region touches it;
//! only an explicit delete removes it.

use std::sync::Arc;

use async_trait::async_trait;
use provider_api::resource::{parse, properties, properties_with};
use provider_api::{
    CreateRequest, Created, DeleteRequest, Properties, Property, PropertyType, ProviderError, ReadRequest,
    ReadState, Resource, ResourceSchema, Result, Source, UpdateRequest,
};
use provider_kit::errors::keeps_changing;
use provider_kit::inputs::Owned;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::cloud::Volume;
use crate::declare::VOLUME;
use crate::owner::{self, LABELS, object};
use crate::{fence, snapshots};

pub(crate) const ATTEMPTS: usize = 10;

pub(crate) struct VolumeResource {
    pub client: Arc<Client>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inputs {
    #[serde(flatten)]
    owned: Owned,
    region: String,
}

impl Inputs {
    /// The inputs that would make this volume; `None` when it is not one of Pilot's.
    fn of(volume: &Volume) -> Option<Self> {
        Some(Self { owned: owner::of(&volume.labels)?.into(), region: volume.region.clone() })
    }

    fn outputs(&self) -> Properties {
        properties_with(self, [("name", owner::volume_name(&self.owned.runtime_id).into())])
    }
}

/// The properties that every resource of this provider has.
pub(crate) fn common_inputs() -> Vec<Property> {
    let region = Property::required("region", PropertyType::String, "Where it is.").replaces();
    Owned::properties().into_iter().chain([region]).collect()
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
        let (name, owner) = (owner::volume_name(&inputs.owned.runtime_id), inputs.owned.owner().under(fence));
        fence::pass(&self.client, &owner.runtime).await?;
        let cloud = self.client.cloud().under(fence);
        for _ in 0..ATTEMPTS {
            let done = match self.find(&name).await? {
                Some(found) => {
                    let before = owner::of(&found.labels);
                    owner.may_change(object("volume", &name), before.as_ref())?;
                    let labels = LABELS.of(&owner.over(before.as_ref()));
                    let relabel = cloud.label_volume(&name, found.version, labels);
                    self.client.change("label the volume", relabel).await?
                }
                None if !creates => return Err(ProviderError::gone(("volume", &name))),
                None => {
                    let from = snapshots::source(&self.client, &owner.runtime, source).await?;
                    let volume = Volume::new(&inputs.region, LABELS.of(&owner));
                    self.client.change("create the volume", cloud.create_volume(&name, volume, from)).await?
                }
            };
            if done.is_some() {
                return Ok(());
            }
        }
        Err(keeps_changing(("volume", &name)))
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
        Ok(Created { id: owner::volume_name(&inputs.owned.runtime_id), outputs: inputs.outputs() })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let Some(found) = self.find(&request.id).await? else { return Ok(None) };
        if let Some(known) = request.known::<Inputs>()? {
            owner::must_own(object("volume", &request.id), &found.labels, &known.owned.runtime())?;
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
        let owned = parse::<Inputs>(&request.inputs)?.owned.removed_under(request.fence);
        let owner = owned.owner().under(request.fence);
        // By whose it is: who has lost the id can delete it, too.
        let name = owner::volume_name(&owner.runtime.runtime_id);
        fence::pass(&self.client, &owner.runtime).await?;
        let cloud = self.client.cloud().under(request.fence);
        for _ in 0..ATTEMPTS {
            let Some(found) = self.find(&name).await? else { return Ok(()) };
            owner.may_change(object("volume", &name), owner::of(&found.labels).as_ref())?;
            let delete = cloud.delete_volume(&name, found.version);
            self.client.change("delete the volume", delete).await?;
        }
        Err(keeps_changing(("volume", &name)))
    }
}
