//! `pilot:docker:Volume`: the instance's home, the only user data. No change of image or size touches
//! it; only an explicit delete removes it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::models::Volume;
use bollard::query_parameters::RemoveVolumeOptions;
use contracts::secrets;
use provider_api::resource::parse;
use provider_api::{
    CreateRequest, Created, DeleteRequest, Properties, Property, PropertyType, ProviderError, ReadRequest,
    ReadState, Resource, ResourceSchema, Result, RuntimeRef, Source, Told, UpdateRequest,
};
use provider_kit::inputs::Owned;
use provider_kit::wait;
use tokio::time::Instant;

use crate::copy::{self, Copy};
use crate::declare::VOLUME;
use crate::engine::Engine;
use crate::failure::Failure;
use crate::hosts::Hosts;
use crate::names::Part;
use crate::{container, fence, lasting, names, network, owned, registers, snapshots};

/// A container that is being removed still holds its volume for a moment.
const RELEASE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct VolumeResource {
    pub hosts: Arc<Hosts>,
}

/// One volume as it is.
pub(crate) async fn inspect(engine: &Engine, name: &str) -> Result<Option<Volume>> {
    let docker = engine.docker().await?;
    Failure::optional(engine.ask("look at the volume", docker.inspect_volume(name)).await)
}

impl VolumeResource {
    /// Begins a home that is new, or half made, with a snapshot. One that is whole stays as it is, also when the snapshot is gone.
    async fn fill(&self, engine: &Engine, name: &str, inputs: &Owned, source: &Source) -> Result<()> {
        let theirs = source_of(source, inputs);
        if let Err(gone) = snapshots::must_have(engine, &theirs, &source.snapshot).await {
            // Whoever is there runs in a home that is whole.
            let machine = container::inspect(engine, &names::name(&inputs.runtime_id)).await?;
            return machine.map(drop).ok_or(gone);
        }
        let files = names::snapshot(&source.runtime_id, &source.snapshot, Part::Files);
        let mut way = vec!["fork"];
        way.extend(secrets::BELOW_HOME);
        let runtime = inputs.runtime();
        let image = &self.hosts.config.image;
        let copy = Copy { runtime: &runtime, image, from: Some(&files), to: name, way: &way };
        copy.prepare(engine).await?;
        copy.run(engine, &Told::nobody()).await.map(drop)
    }
}

fn source_of(source: &Source, inputs: &Owned) -> RuntimeRef {
    RuntimeRef::new(source.runtime_id.clone(), inputs.installation.clone())
}

/// Also of what is gone already. Takes as long as it has files.
pub(crate) async fn remove(engine: &Engine, name: &str) -> Result<()> {
    remove_held(engine, name, None).await
}

/// The same where a copy may be under way, which ends then.
pub(crate) async fn remove_copied(engine: &Engine, name: &str, runtime: &RuntimeRef) -> Result<()> {
    remove_held(engine, name, Some(runtime)).await
}

async fn remove_held(engine: &Engine, name: &str, copied: Option<&RuntimeRef>) -> Result<()> {
    let removed = wait::while_refused(Instant::now() + RELEASE, PAUSE, Failure::is_conflict, || async {
        let removal =
            |docker: Docker| async move { docker.remove_volume(name, None::<RemoveVolumeOptions>).await };
        let answer = engine.remove("remove the volume", removal).await;
        if let (Err(Failure::Conflict(_)), Some(runtime)) = (&answer, copied) {
            copy::end(engine, runtime).await.map_err(Failure::Other)?;
        }
        answer
    });
    Failure::optional(removed.await).map(drop)
}

#[async_trait]
impl Resource for VolumeResource {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            token: VOLUME,
            description: "The home volume of one runtime. Deleting it deletes the user's files.",
            inputs: Owned::properties().into_iter().chain(Source::properties()).collect(),
            outputs: vec![Property::required("name", PropertyType::String, "The volume's name in Docker.")],
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs: Owned = parse(&request.inputs)?;
        let name = names::volume_name(&inputs.runtime_id);
        let _lock = self.hosts.locks.lock(&inputs.runtime_id).await;
        let source = Source::read(&request.inputs)?;
        let engine = match &source {
            Some(source) => self.hosts.place_beside(&inputs.runtime_id, &source.runtime_id).await?,
            None => self.hosts.place(&inputs.runtime()).await?,
        };
        let found = inspect(&engine, &name).await?.map(|found| found.labels);
        owned::admit(&engine, &inputs, ("volume", &name), found.as_ref(), request.fence).await?;
        if let Some(source) = source.as_ref().filter(|_| found.is_none()) {
            snapshots::must_have(&engine, &source_of(source, &inputs), &source.snapshot).await?;
        }
        if found.is_none() {
            let labels = names::labels(&inputs.runtime().under(request.fence), inputs.generation);
            let made = lasting::make_home(&engine, "create the volume", &name, labels.clone()).await?.labels;
            // Somebody else was faster.
            if made != labels {
                owned::admit(&engine, &inputs, ("volume", &name), Some(&made), request.fence).await?;
            }
        }
        self.hosts.placed(&inputs.runtime()).await;
        if let Some(source) = source {
            self.fill(&engine, &name, &inputs, &source).await?;
        }
        Ok(Created { id: name.clone(), outputs: owned::outputs(&inputs, &name) })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let Some(engine) = self.hosts.of_id(&request.id).await? else { return Ok(None) };
        let Some(volume) = inspect(&engine, &request.id).await? else { return Ok(None) };
        owned::state(&engine, "volume", request, &volume.labels).await
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        let inputs: Owned = parse(&request.new_inputs)?;
        let engine = self.hosts.of(&inputs.runtime_id).await?;
        let object = ("volume", request.id.as_str());
        let found = inspect(&engine, &request.id).await?;
        let found = found.ok_or_else(|| ProviderError::gone(object))?;
        owned::admit(&engine, &inputs, object, Some(&found.labels), request.fence).await?;
        Ok(owned::outputs(&inputs, &request.id))
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let inputs = parse::<Owned>(&request.inputs)?.removed_under(request.fence);
        let name = names::volume_name(&inputs.runtime_id);
        let _lock = self.hosts.locks.lock(&inputs.runtime_id).await;
        let engine = self.hosts.of(&inputs.runtime_id).await?;
        let runtime = inputs.runtime().under(request.fence);
        let found = inspect(&engine, &name).await?;
        let is_there = found.is_some();
        if let Some(volume) = found {
            owned::admit(&engine, &inputs, ("volume", &name), Some(&volume.labels), request.fence).await?;
            // The network of the same runtime goes as well. What keeps that from going keeps the files too.
            let id = names::name(&inputs.runtime_id);
            network::must_have_no_strangers(&engine, &id, &inputs.runtime_id).await?;
        }
        if is_there {
            remove_copied(&engine, &name, &runtime).await?;
        }
        // What is copied of a home is kept as long as the home.
        let mut left = registers::of(&engine, &runtime).await?;
        if !is_there && left.iter().any(snapshots::is_part) {
            fence::pass(&engine, &runtime, ("volume", &name), None).await?;
        }
        snapshots::remove_all(&engine, &runtime, &mut left).await?;
        self.hosts.gave_up(&runtime).await;
        fence::forget_of(&engine, &runtime, left).await
    }
}
