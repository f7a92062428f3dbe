//! `pilot:fly:Volume`: the instance's home, the only user data. It is made with the machine's size in
//! mind, because it ties the machine to the host that it is on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::ErrorCode;
use provider_api::resource::{parse, properties, properties_with};
use provider_api::{
    CreateRequest, Created, DeleteRequest, Outcome, Properties, Property, PropertyType, ProviderError,
    ReadRequest, ReadState, Resource, ResourceSchema, Result, Source, UpdateRequest,
};
use provider_http::Failure;
use provider_kit::inputs::Owned;
use provider_kit::wait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant as Deadline;

use crate::declare::{VOLUME, guest_for};
use crate::failure;
use crate::fly::Fly;
use crate::fork;
use crate::instance::{Instance, PAUSE};
use crate::lifecycle::FlyLifecycle;
use crate::owned;
use crate::{names, wire};

pub(crate) struct VolumeResource {
    pub fly: Arc<Fly>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inputs {
    #[serde(flatten)]
    owned: Owned,
    app: String,
    region: String,
    size_gb: u32,
    cpus: u32,
    memory_mib: u32,
}

impl Inputs {
    fn outputs(&self, volume: &str) -> Properties {
        properties_with(self, [("volumeId", volume.into())])
    }
}

/// The runtime's volumes that are there to stay, the oldest first.
pub(crate) fn homes(mut volumes: Vec<wire::Volume>) -> Vec<wire::Volume> {
    volumes.retain(|volume| volume.name == names::VOLUME && !volume.is_going());
    // One that is in use counts before one that is only older.
    volumes.sort_by_key(|volume| {
        (volume.attached_machine_id.is_none(), volume.created_at.clone(), volume.id.clone())
    });
    volumes
}

/// Two creates that did not see each other are no further apart than one takes with all its attempts.
const ONE_TIME: Duration = Duration::from_secs(5 * 60);

/// By Fly's clock. What it does not tell is of another time.
fn are_of_one_time(one: &wire::Volume, other: &wire::Volume) -> bool {
    let at = |volume: &wire::Volume| volume.created_at.parse::<jiff::Timestamp>().ok();
    let apart = at(one).zip(at(other)).map(|(one, other)| one.duration_since(other).unsigned_abs());
    apart.is_some_and(|apart| apart <= ONE_TIME)
}

fn two_homes(app: &str, one: &wire::Volume, other: &wire::Volume) -> ProviderError {
    let message = format!(
        "the app {app} has two volumes that may be the home, {} of {} and {} of {}, so none is used",
        one.id, one.created_at, other.id, other.created_at
    );
    ProviderError::new(ErrorCode::ForeignObject, message).with_action(
        "Keep the files of the one that is not meant, remove it with `fly volumes destroy`, and try again.",
    )
}

impl VolumeResource {
    async fn list(&self, app: &str) -> Result<Option<Vec<wire::Volume>>> {
        let found = self.fly.client()?.volumes(app).await;
        Ok(failure::optional(found, "list the app's volumes")?.map(homes))
    }

    /// The volumes of an app that was just made, which Fly may not know everywhere yet.
    async fn list_new(&self, app: &str) -> Result<Vec<wire::Volume>> {
        let deadline = Deadline::now() + self.fly.timing.visible;
        wait::until(deadline, PAUSE, || self.list(app)).await?.ok_or_else(|| {
            let message = format!("there is no app {app} for the volume");
            ProviderError::new(ErrorCode::ProviderFailed, message)
                .with_action("`pilot ws start NAME` makes the workspace again from its stack.")
        })
    }

    /// The oldest volume; those that were made at the same time hold nothing yet and are removed, so that all callers agree. One of
    /// another time has somebody's files.
    async fn settle(&self, app: &str, volumes: Vec<wire::Volume>) -> Result<Option<wire::Volume>> {
        let mut volumes = volumes.into_iter();
        let Some(first) = volumes.next() else { return Ok(None) };
        for other in volumes.filter(|volume| volume.attached_machine_id.is_none()) {
            if !are_of_one_time(&first, &other) {
                // Beside the one in use it may wait for whoever put it there.
                if first.attached_machine_id.is_none() {
                    return Err(two_homes(app, &first, &other));
                }
                continue;
            }
            tracing::warn!(app, volume = other.id, "a second volume of one runtime is removed");
            let removed = self.fly.client()?.delete_volume(app, &other.id).await;
            failure::optional(removed, "remove the double volume")?;
        }
        Ok(Some(first))
    }

    async fn may_write(&self, inputs: &Inputs, fence: Option<u64>) -> Result<()> {
        let runtime = inputs.owned.runtime().under(fence);
        Instance::new(&self.fly, &runtime).may_write(inputs.owned.generation).await
    }

    /// With what is in the source's snapshot, where there is a source and the volume is made.
    async fn ensure(
        &self,
        inputs: &Inputs,
        fence: Option<u64>,
        source: Option<&Source>,
    ) -> Result<wire::Volume> {
        if !self.fly.take_empty_app(&inputs.owned.runtime()) {
            let found = self.list_new(&inputs.app).await?;
            if !found.is_empty() {
                self.may_write(inputs, fence).await?;
            }
            if let Some(volume) = self.settle(&inputs.app, found).await? {
                return Ok(volume);
            }
        }
        let mut body = json!({
            "name": names::VOLUME,
            "region": inputs.region,
            "size_gb": inputs.size_gb,
            "encrypted": true,
            "compute": {"cpu_kind": "shared", "cpus": inputs.cpus, "memory_mb": inputs.memory_mib},
        });
        if let Some(source) = source {
            let lifecycle = FlyLifecycle { fly: self.fly.clone() };
            let id = fork::must_have(&lifecycle, &inputs.owned.runtime(), source).await?;
            body["snapshot_id"] = id.into();
        }
        let client = self.fly.client()?;
        let mut made = client.create_volume(&inputs.app, body.clone()).await;
        if made.as_ref().is_err_and(Failure::is_absent) {
            // The app is too new to be known there.
            self.list_new(&inputs.app).await?;
            made = client.create_volume(&inputs.app, body).await;
        }
        let failed = match made {
            Ok(_) => None,
            Err(failure) if failure.may_have_happened() => Some(failure::error(failure, "create the volume")),
            Err(failure) => return Err(failure::error(failure, "create the volume")),
        };
        // Also after a lost answer: what was made is seen soon, or was never made.
        let deadline = Deadline::now() + self.fly.timing.visible;
        let seen = wait::until(deadline, PAUSE, || self.seen(&inputs.app)).await;
        // It exists all the same.
        let seen = seen.map_err(|error| ProviderError { outcome: Outcome::Unknown, ..error })?;
        let not_seen = || {
            let message = format!("the volume of {} was made and is not seen yet", inputs.app);
            ProviderError::unknown(ErrorCode::ProviderTimeout, message).with_action("Try again.")
        };
        seen.ok_or_else(|| failed.unwrap_or_else(not_seen))
    }

    /// A volume that still has another's secrets goes, so that nothing ever runs in it.
    async fn without(&self, inputs: &Inputs, volume: &wire::Volume, error: ProviderError) -> ProviderError {
        let removed = match self.fly.client() {
            Ok(client) => client.delete_volume(&inputs.app, &volume.id).await.is_ok(),
            Err(_) => false,
        };
        let unknown = ProviderError { outcome: Outcome::Unknown, ..error.clone() };
        if removed { error } else { unknown }
    }

    async fn seen(&self, app: &str) -> Result<Option<wire::Volume>> {
        let found = self.list_new(app).await?;
        self.settle(app, found).await
    }
}

#[async_trait]
impl Resource for VolumeResource {
    fn schema(&self) -> ResourceSchema {
        let mut inputs = Owned::properties();
        inputs.extend([
            Property::required("app", PropertyType::String, "The app that it belongs to.")
                .replaces()
                .example("pilot-rt-0123456789abcdef"),
            Property::required("region", PropertyType::String, "Fly's code of the region.")
                .replaces()
                .example("fra"),
            Property::required(
                "sizeGb",
                PropertyType::Integer,
                "Its size in GB; it can grow and never shrinks.",
            )
            .example("10"),
            Property::required("cpus", PropertyType::Integer, "Processors of the machine that will use it.")
                .example("2"),
            Property::required("memoryMib", PropertyType::Integer, "Memory of that machine in MiB.")
                .example("2048"),
        ]);
        inputs.extend(Source::properties());
        ResourceSchema {
            token: VOLUME,
            description: "The home volume of one runtime. Deleting it deletes the user's files.",
            inputs,
            outputs: vec![Property::required("volumeId", PropertyType::String, "Fly's id of the volume.")],
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs: Inputs = parse(&request.inputs)?;
        // When the app is not seen yet, making the volume waits for it.
        self.fly.app_is_ours(&inputs.owned.runtime()).await?;
        let source = Source::read(&request.inputs)?;
        let volume = self.ensure(&inputs, request.fence, source.as_ref()).await?;
        if source.is_some() {
            let (region, cpus, memory_mib) = (&inputs.region, inputs.cpus, inputs.memory_mib);
            let home = fork::Home { region, volume: &volume.id, cpus, memory_mib };
            let runtime = inputs.owned.runtime().under(request.fence);
            if let Err(error) = fork::leave_secrets_out(&self.fly, &runtime, &home).await {
                return Err(self.without(&inputs, &volume, error).await);
            }
        }
        Ok(Created { id: owned::id(&inputs.app, &volume.id), outputs: inputs.outputs(&volume.id) })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let Some((app, id)) = owned::split(&request.id) else { return Ok(None) };
        let client = self.fly.client()?;
        let Some(found) = failure::optional(client.app(app).await, "read the app")? else { return Ok(None) };
        let owner = names::owner_by_network(&found.network);
        let volumes = self.list(app).await?.unwrap_or_default();
        let Some(volume) = volumes.into_iter().find(|volume| volume.id == id) else { return Ok(None) };
        let inputs = match (request.known::<Inputs>()?, owner) {
            (None, None) => return Ok(None),
            (None, Some(owner)) => {
                let (cpus, memory_mib) = guest_for(volume.size_gb);
                let (app, region) = (app.to_owned(), volume.region.clone());
                let machine = Instance::new(&self.fly, &owner).find().await?;
                let generation = machine.map_or(0, |machine| names::generation(&machine.metadata()));
                let owned = Owned::new(owner, generation);
                Inputs { owned, app, region, size_gb: volume.size_gb, cpus, memory_mib }
            }
            (Some(known), owner) => {
                names::must_own("app", app, owner, &known.owned.runtime())?;
                // What has grown beyond the wish fits it.
                let size_gb = if volume.size_gb >= known.size_gb { known.size_gb } else { volume.size_gb };
                Inputs { region: volume.region.clone(), size_gb, ..known }
            }
        };
        Ok(Some(ReadState { inputs: properties(&inputs), outputs: inputs.outputs(id), id: request.id }))
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        let inputs: Inputs = parse(&request.new_inputs)?;
        let app = names::app(&inputs.owned.runtime_id);
        self.fly.app_is_ours(&inputs.owned.runtime()).await?;
        self.may_write(&inputs, request.fence).await?;
        let volumes = self.list(&app).await?.unwrap_or_default();
        let id = owned::split(&request.id).map_or(request.id.as_str(), |(_, id)| id);
        let Some(volume) = volumes.iter().find(|volume| volume.id == id) else {
            return Err(ProviderError::gone(("volume", &request.id)));
        };
        if inputs.size_gb > volume.size_gb {
            let extended = self.fly.client()?.extend_volume(&app, id, inputs.size_gb).await;
            extended.map_err(|failure| failure::error(failure, "extend the volume"))?;
        }
        Ok(inputs.outputs(id))
    }

    /// Every volume of the runtime goes, also one that a lost answer left behind. The app is the runtime's, whatever is known of it.
    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let mut inputs: Inputs = parse(&request.inputs)?;
        inputs.owned = inputs.owned.removed_under(request.fence);
        let app = names::app(&inputs.owned.runtime_id);
        if !self.fly.app_is_ours(&inputs.owned.runtime()).await? {
            return Ok(());
        }
        self.may_write(&inputs, request.fence).await?;
        let (client, deadline) = (self.fly.client()?, Deadline::now() + self.fly.timing.settle);
        for volume in self.list(&app).await?.unwrap_or_default() {
            // A machine that is going lets go of its volume in a moment.
            let is_held = |failure: &Failure| {
                failure.status().is_some_and(|status| matches!(status.as_u16(), 409 | 412))
            };
            let delete = || client.delete_volume(&app, &volume.id);
            let deleted = wait::while_refused(deadline, PAUSE, is_held, delete).await;
            failure::optional(deleted, "delete the volume")?;
        }
        Ok(())
    }
}
