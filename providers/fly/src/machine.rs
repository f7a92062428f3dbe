//! `pilot:fly:Machine`: the running instance. It holds no user data; its size and image change in place
//! as a new version, and a new generation alone is only a label.

mod spec;

use std::sync::Arc;

use async_trait::async_trait;
use contracts::ErrorCode;
use provider_api::resource::{parse, properties, properties_with};
use provider_api::{
    CreateRequest, Created, DeleteRequest, Properties, Property, PropertyType, ProviderError, ReadRequest,
    ReadState, Resource, ResourceSchema, Result, UpdateRequest,
};
use provider_kit::boot;
use provider_kit::errors;
use provider_kit::inputs::{Git, Owned};
use provider_kit::wait;
use serde_json::json;
use tokio::time::Instant;

use crate::boot::Delivery;
use crate::declare::MACHINE;
use crate::fly::Fly;
use crate::instance::{Instance, PAUSE};
use crate::owned::{self, reach_property};
use crate::{failure, names, wire};

use spec::pin;
pub(crate) use spec::{HTTP, HTTPS, Inputs, body_of};

pub(crate) struct MachineResource {
    pub fly: Arc<Fly>,
}

impl Inputs {
    fn outputs(&self, machine: &str) -> Properties {
        properties_with(self, [("machineId", machine.into())])
    }

    /// What happened after the vendor had taken these inputs: the machine is theirs, whether it runs or not.
    fn partial(&self, error: ProviderError, machine: &wire::Machine) -> ProviderError {
        error.partial(owned::id(&self.app, &machine.id), self.outputs(&machine.id))
    }
}

impl MachineResource {
    async fn delivery(&self, inputs: &Inputs) -> Result<Delivery> {
        let runtime = &inputs.owned.runtime_id;
        Ok(Delivery::of(runtime, &boot::files(&*self.fly.boot, runtime).await?))
    }

    /// Asks whether there is room, so that a volume is not made for nothing and the answer is clear.
    async fn probe(&self, inputs: &Inputs) -> Result<()> {
        if !self.fly.probes()? {
            return Ok(());
        }
        let asked = self.fly.client()?.room(&inputs.region, inputs.cpus, inputs.memory_mib).await;
        if asked.map_err(|failure| failure::error(failure, "ask for room"))? > 0 {
            return Ok(());
        }
        let message = format!(
            "Fly has no room in {} for a machine of {} processors and {} MiB",
            inputs.region, inputs.cpus, inputs.memory_mib
        );
        Err(ProviderError::new(ErrorCode::ProviderCapacity, message)
            .with_action("Try again later, or create the workspace in another region or size."))
    }

    /// Makes the machine, or finds the one that has its name.
    async fn ensure(
        &self,
        instance: &Instance<'_>,
        inputs: &Inputs,
        delivery: &Delivery,
    ) -> Result<wire::Machine> {
        self.probe(inputs).await?;
        let version = instance.put_secrets(delivery).await?;
        let mut body = inputs.body(delivery, self.fly.reach()?, instance.runtime.fence);
        body["min_secrets_version"] = version.into();
        let failure = match self.fly.client()?.create_machine(&inputs.app, body).await {
            Ok(machine) => return instance.accept(machine),
            Err(failure) => failure,
        };
        let is_taken = failure.status().is_some_and(|status| matches!(status.as_u16(), 409 | 412 | 422));
        let error = failure::error(failure, "create the machine");
        if !is_taken || error.code == ErrorCode::ProviderCapacity || error.code == ErrorCode::ProviderQuota {
            return Err(error);
        }
        // Somebody was faster, perhaps we ourselves; the list may know it a moment later.
        let deadline = Instant::now() + self.fly.timing.visible;
        let found = wait::until(deadline, PAUSE, || instance.find()).await?;
        let machine = found.ok_or(error)?;
        instance.may_change(&machine, inputs.owned.generation).await?;
        Ok(machine)
    }

    /// Brings a machine that is there to these inputs. Gives the version that is in force then.
    async fn adapt(
        &self,
        instance: &Instance<'_>,
        machine: wire::Machine,
        inputs: &Inputs,
    ) -> Result<wire::Machine> {
        let found = Inputs::of(&inputs.app, &machine).map(|found| found.seen_with(inputs.reach));
        if found.as_ref() == Some(inputs) {
            return Ok(machine);
        }
        let same_image = found.as_ref().is_some_and(|found| found.image == inputs.image);
        let same_but_generation = found.map(|found| Inputs { owned: inputs.owned.clone(), ..found });
        if same_but_generation.as_ref() == Some(inputs) {
            instance.patch(&machine, inputs.owned.generation).await?;
            return Ok(machine);
        }
        let delivery = self.delivery(inputs).await?;
        let version = instance.put_secrets(&delivery).await?;
        let mut body = inputs.body(&delivery, self.fly.reach()?, instance.runtime.fence);
        body["min_secrets_version"] = version.into();
        if same_image {
            pin(&mut body, &machine);
        }
        // Whether an instance runs is not decided by its inputs.
        let runs = machine.state == "started";
        body["skip_launch"] = json!(!runs);
        let updated = instance.update(&machine, body).await?;
        let deadline = Instant::now() + self.fly.timing.settle;
        let settled = match runs {
            true => instance.becomes_started(&updated, deadline).await,
            false => instance.settles(&updated, deadline).await,
        };
        settled.map_err(|error| inputs.partial(error, &updated))?;
        if runs {
            instance.forget_secrets(&delivery).await;
        }
        Ok(updated)
    }
}

#[async_trait]
impl Resource for MachineResource {
    fn schema(&self) -> ResourceSchema {
        let mut inputs = Owned::properties();
        inputs.extend([
            Property::required("app", PropertyType::String, "The app that it belongs to.")
                .replaces()
                .example("pilot-rt-0123456789abcdef"),
            Property::required("region", PropertyType::String, "Fly's code of the region.")
                .replaces()
                .example("fra"),
            Property::required("image", PropertyType::String, "The instance image.")
                .example("registry.fly.io/pilot-instance:0.1.0"),
            Property::required("volume", PropertyType::String, "Fly's id of the home volume.")
                .replaces()
                .example("vol_4xp5nxk3wkl8y91v"),
            Property::required("cpus", PropertyType::Integer, "Shared processors.").example("2"),
            Property::required("memoryMib", PropertyType::Integer, "Memory in MiB.").example("2048"),
            reach_property(),
        ]);
        inputs.extend(Git::properties());
        ResourceSchema {
            token: MACHINE,
            description: "The machine of one runtime. It holds no user data.",
            inputs,
            outputs: vec![Property::required("machineId", PropertyType::String, "Fly's id of the machine.")],
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs: Inputs = parse(&request.inputs)?;
        let runtime = inputs.owned.runtime().under(request.fence);
        let delivery = self.delivery(&inputs).await?;
        // Secrets are only given to an app that is surely ours.
        self.fly.app_is_ours(&runtime).await?;
        let instance = Instance::new(&self.fly, &runtime);
        let machine = self.ensure(&instance, &inputs, &delivery).await?;
        // From here on the machine exists and must stay owned, whatever happens to it.
        let made = machine.clone();
        let partial = |error: ProviderError| inputs.partial(error, &made);
        let machine = self.adapt(&instance, machine, &inputs).await.map_err(partial)?;
        let deadline = Instant::now() + self.fly.timing.settle;
        let started = match machine.state.as_str() {
            "started" => Ok(()),
            // As the answer to a create has it, and as it is when somebody else is making it.
            "creating" | "created" | "starting" | "replacing" => {
                instance.becomes_started(&machine, deadline).await
            }
            _ => instance.start(&delivery, |machine| body_of(machine, &delivery)).await,
        };
        started.map_err(partial)?;
        Ok(Created { id: owned::id(&inputs.app, &machine.id), outputs: inputs.outputs(&machine.id) })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let Some((app, id)) = owned::split(&request.id) else { return Ok(None) };
        let read = self.fly.client()?.machine(app, id).await;
        let found = failure::optional(read, "read the machine")?.filter(|machine| !machine.is_gone());
        let Some(machine) = found else { return Ok(None) };
        let owner = names::owner(&machine.metadata());
        let known: Option<Inputs> = request.known()?;
        let runtime = known.as_ref().map(|known| known.owned.runtime()).or(owner);
        let Some(runtime) = runtime else { return Ok(None) };
        let machine = Instance::new(&self.fly, &runtime).accept(machine)?;
        let Some(mut inputs) = Inputs::of(app, &machine) else { return Ok(None) };
        if let Some(known) = known {
            inputs = inputs.seen_with(known.reach);
        }
        if let Some(why) = machine.why_not_well() {
            return Err(errors::is_not_well(("machine", id), &why).partial(&request.id, inputs.outputs(id)));
        }
        Ok(Some(ReadState { inputs: properties(&inputs), outputs: inputs.outputs(id), id: request.id }))
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        let inputs: Inputs = parse(&request.new_inputs)?;
        let instance = Instance::new(&self.fly, &inputs.owned.runtime().under(request.fence));
        let machine = instance.must_find().await?;
        instance.may_change(&machine, inputs.owned.generation).await?;
        let is_well = machine.why_not_well().is_none();
        let machine = self.adapt(&instance, machine, &inputs).await?;
        if !is_well {
            let delivery = self.delivery(&inputs).await?;
            let started = instance.start(&delivery, |machine| body_of(machine, &delivery)).await;
            started.map_err(|error| inputs.partial(error, &machine))?;
        }
        Ok(inputs.outputs(&machine.id))
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let owned = parse::<Inputs>(&request.inputs)?.owned.removed_under(request.fence);
        let instance = Instance::new(&self.fly, &owned.runtime().under(request.fence));
        let Some(machine) = instance.find().await? else { return Ok(()) };
        instance.may_change(&machine, owned.generation).await?;
        instance.destroy(&machine).await
    }
}
