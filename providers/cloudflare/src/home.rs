//! `pilot:cloudflare:Home`: what stays of a runtime's files while it does not run, at an account that keeps file systems. It
//! is in the runtime's own Durable Object; the files are in a snapshot of Cloudflare's that the next start begins with.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use provider_api::resource::{parse, properties, properties_with};
use provider_api::{
    CreateRequest, Created, DeleteRequest, Properties, Property, PropertyType, ReadRequest, ReadState,
    Resource, ResourceSchema, Result, UpdateRequest,
};
use provider_kit::inputs::Owned;
use serde_json::{Value, json};

use crate::Cloud;
use crate::declare::HOME;

pub(crate) struct HomeResource {
    pub cloud: Arc<Cloud>,
}

fn outputs(owned: &Owned) -> Properties {
    properties_with(owned, [("homeId", owned.runtime_id.as_str().into())])
}

impl HomeResource {
    async fn put(&self, owned: &Owned, fence: Option<u64>, is_update: bool) -> Result<()> {
        let mut body = body(owned, fence);
        body["update"] = is_update.into();
        let path = format!("/{}/home", owned.runtime_id);
        self.cloud.control("make the home", Method::PUT, &path, Some(body)).await?;
        Ok(())
    }
}

fn body(owned: &Owned, fence: Option<u64>) -> Value {
    json!({"installation": owned.installation, "generation": owned.generation, "fence": fence})
}

#[async_trait]
impl Resource for HomeResource {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            token: HOME,
            description: "The files of a runtime: a snapshot that its next start begins with.",
            inputs: Owned::properties(),
            outputs: vec![Property::required("homeId", PropertyType::String, "The runtime that has it.")],
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let owned: Owned = parse(&request.inputs)?;
        self.put(&owned, request.fence, false).await?;
        Ok(Created { id: owned.runtime_id.to_string(), outputs: outputs(&owned) })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let installation = match request.known::<Owned>()? {
            None => self.cloud.config.installation()?.clone(),
            Some(known) => known.installation,
        };
        let Ok(runtime) = request.id.parse() else { return Ok(None) };
        let Some(owned) = self.cloud.state(&runtime, &installation).await?.home else { return Ok(None) };
        let owned = owned.into_owned();
        Ok(Some(ReadState { inputs: properties(&owned), outputs: outputs(&owned), id: request.id }))
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        let owned: Owned = parse(&request.new_inputs)?;
        self.put(&owned, request.fence, true).await?;
        Ok(outputs(&owned))
    }

    /// With its snapshots.
    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let owned = parse::<Owned>(&request.inputs)?.removed_under(request.fence);
        let path = format!("/{}/home", owned.runtime_id);
        let body = body(&owned, request.fence);
        self.cloud.control("delete the home", Method::DELETE, &path, Some(body)).await?;
        Ok(())
    }
}
