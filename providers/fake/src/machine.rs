//! `pilot:fake:Machine`: the running instance. It holds no user data, so it may be replaced at any time;
//! its size, its image, its git source and its list of destinations change in place.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::egress::EgressAllow;
use provider_api::resource::{parse, properties, properties_with};
use provider_api::{
    BootFile, CreateRequest, Created, DeleteRequest, Properties, Property, PropertyType, ProviderError,
    ReadRequest, ReadState, Resource, ResourceSchema, Result, RuntimeRef, UpdateRequest,
};
use provider_kit::errors::{is_not_well, keeps_changing};
use provider_kit::inputs::{Git, Owned, egress_property};
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::cloud::{Machine, Spec};
use crate::declare::MACHINE;
use crate::fence;
use crate::owner::{self, LABELS, object};
use crate::volume::{ATTEMPTS, common_inputs};

pub(crate) struct MachineResource {
    pub client: Arc<Client>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inputs {
    #[serde(flatten)]
    owned: Owned,
    region: String,
    image: String,
    volume: String,
    size: String,
    #[serde(flatten)]
    git: Git,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    egress_allow: Option<EgressAllow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<String>,
}

impl Inputs {
    fn spec(&self) -> Spec {
        Spec {
            region: self.region.clone(),
            image: self.image.clone(),
            volume: self.volume.clone(),
            size: self.size.clone(),
            git_url: self.git.git_url.clone(),
            git_ref: self.git.git_ref.clone(),
            egress_allow: self.egress_allow.clone(),
            network: self.network.clone(),
        }
    }

    /// The inputs that would make this machine; `None` when it is not one of Pilot's.
    fn of(machine: &Machine) -> Option<Self> {
        let Spec { region, image, volume, size, git_url, git_ref, egress_allow, network } =
            machine.spec.clone();
        let (owned, git) = (owner::of(&machine.labels)?.into(), Git { git_url, git_ref });
        Some(Self { owned, region, image, volume, size, git, egress_allow, network })
    }

    fn outputs(&self) -> Properties {
        properties_with(self, [("name", owner::machine_name(&self.owned.runtime_id).into())])
    }
}

impl MachineResource {
    async fn find(&self, name: &str) -> Result<Option<Machine>> {
        self.client.look("look at the machine", self.client.cloud().machine(name)).await
    }

    /// Find, adopt if it is ours and fits, else create; on a conflict find again. One that is elsewhere, or has
    /// another home or network, is replaced.
    async fn ensure(&self, inputs: &Inputs, fence: Option<u64>) -> Result<()> {
        let (name, spec) = (owner::machine_name(&inputs.owned.runtime_id), inputs.spec());
        let owner = inputs.owned.owner().under(fence);
        fence::pass(&self.client, &owner.runtime).await?;
        let cloud = self.client.cloud().under(fence);
        for _ in 0..ATTEMPTS {
            let done = match self.find(&name).await? {
                Some(found) => {
                    let before = owner::of(&found.labels);
                    owner.may_change(object("machine", &name), before.as_ref())?;
                    if found.spec.fits(&spec) {
                        let labels = LABELS.of(&owner.over(before.as_ref()));
                        let change = cloud.change_machine(&name, found.version, labels, &spec);
                        self.client.change("change the machine", change).await?
                    } else {
                        let delete = cloud.delete_machine(&name, found.version);
                        self.client.change("replace the machine", delete).await?;
                        None
                    }
                }
                None => {
                    let create = cloud.create_machine(&name, spec.clone(), LABELS.of(&owner));
                    self.client.change("create the machine", create).await?
                }
            };
            if done.is_some() {
                return Ok(());
            }
        }
        Err(keeps_changing(("machine", &name)))
    }
}

/// What is done to a machine that exists.
pub(crate) enum Act<'a> {
    Start(&'a [BootFile]),
    Stop,
    Suspend,
}

/// Done to the version that was looked at: when another came between, it is looked at again. False when there is no machine.
pub(crate) async fn act(client: &Client, runtime: &RuntimeRef, act: Act<'_>) -> Result<bool> {
    let (name, cloud) = (owner::machine_name(&runtime.runtime_id), client.cloud().under(runtime.fence));
    for _ in 0..ATTEMPTS {
        let found = client.look("look at the machine", cloud.machine(&name)).await?;
        let Some(found) = found else { return Ok(false) };
        object("machine", &name).must_admit(runtime, owner::of(&found.labels).as_ref())?;
        let version = found.version;
        let done = match act {
            Act::Start(files) => {
                client.unless_changed("start the machine", cloud.start_machine(&name, version, files)).await?
            }
            Act::Stop => {
                client.unless_changed("stop the machine", cloud.stop_machine(&name, version)).await?
            }
            Act::Suspend => {
                client.unless_changed("suspend the machine", cloud.suspend_machine(&name, version)).await?
            }
        };
        if done.is_some() {
            return Ok(true);
        }
    }
    Err(keeps_changing(("machine", &name)))
}

#[async_trait]
impl Resource for MachineResource {
    fn schema(&self) -> ResourceSchema {
        let mut inputs = common_inputs();
        inputs.extend([
            Property::required("image", PropertyType::String, "The instance image."),
            Property::required("volume", PropertyType::String, "The home volume's name.").replaces(),
            Property::required("size", PropertyType::String, "One of the provider's sizes."),
            Property::optional("network", PropertyType::String, "The name of the network that it is in.")
                .replaces(),
        ]);
        inputs.extend(Git::properties());
        inputs.push(egress_property());
        ResourceSchema {
            token: MACHINE,
            description: "The machine of one runtime. It holds no user data.",
            inputs,
            outputs: vec![Property::required(
                "name",
                PropertyType::String,
                "The machine's name in the cloud.",
            )],
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs: Inputs = parse(&request.inputs)?;
        let boot = self.client.boot_files(&inputs.owned.runtime_id).await?;
        self.ensure(&inputs, request.fence).await?;
        let name = owner::machine_name(&inputs.owned.runtime_id);
        // From here on the machine exists and must stay owned, whatever happens to it.
        let runtime = inputs.owned.runtime().under(request.fence);
        let started = act(&self.client, &runtime, Act::Start(&boot)).await;
        let started =
            started.and_then(|found| found.then_some(()).ok_or_else(|| keeps_changing(("machine", &name))));
        started.map_err(|error| error.partial(&name, inputs.outputs()))?;
        Ok(Created { id: name, outputs: inputs.outputs() })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let Some(found) = self.find(&request.id).await? else { return Ok(None) };
        if let Some(known) = request.known::<Inputs>()? {
            owner::must_own(object("machine", &request.id), &found.labels, &known.owned.runtime())?;
        }
        let Some(inputs) = Inputs::of(&found) else { return Ok(None) };
        if let Some(code) = found.exit_code {
            let error = is_not_well(("machine", &request.id), &format!("exit code {code}"));
            return Err(error.partial(request.id, inputs.outputs()));
        }
        Ok(Some(ReadState { id: request.id, inputs: properties(&inputs), outputs: inputs.outputs() }))
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        let inputs: Inputs = parse(&request.new_inputs)?;
        let Some(found) = self.find(&request.id).await? else {
            return Err(ProviderError::gone(("machine", &request.id)));
        };
        self.ensure(&inputs, request.fence).await?;
        if found.exit_code.is_some() {
            let boot = self.client.boot_files(&inputs.owned.runtime_id).await?;
            act(&self.client, &inputs.owned.runtime().under(request.fence), Act::Start(&boot)).await?;
        }
        Ok(inputs.outputs())
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let owned = parse::<Inputs>(&request.inputs)?.owned.removed_under(request.fence);
        let owner = owned.owner().under(request.fence);
        // By whose it is: who has lost the id can delete it, too.
        let name = owner::machine_name(&owner.runtime.runtime_id);
        fence::pass(&self.client, &owner.runtime).await?;
        let cloud = self.client.cloud().under(request.fence);
        for _ in 0..ATTEMPTS {
            let Some(found) = self.find(&name).await? else { return Ok(()) };
            owner.may_change(object("machine", &name), owner::of(&found.labels).as_ref())?;
            let delete = cloud.delete_machine(&name, found.version);
            self.client.change("delete the machine", delete).await?;
        }
        Err(keeps_changing(("machine", &name)))
    }
}
