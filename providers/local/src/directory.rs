//! `pilot:local:Directory`: the folder that holds a runtime's home. The only user data is in it, so
//! nothing but an explicit delete removes it.

use std::sync::Arc;

use async_trait::async_trait;
use provider_api::resource::{parse, properties, properties_with};
use provider_api::{
    CreateRequest, Created, DeleteRequest, Properties, Property, PropertyType, ReadRequest, ReadState,
    Resource, ResourceSchema, Result, UpdateRequest,
};
use provider_kit::inputs::Owned;

use crate::declare::DIRECTORY;
use crate::host::Host;

pub(crate) struct Directory {
    pub host: Arc<Host>,
}

impl Directory {
    fn outputs(&self, inputs: &Owned) -> Properties {
        let path = self.host.layout.home(&inputs.runtime_id);
        properties_with(inputs, [("path", path.to_string_lossy().into())])
    }
}

#[async_trait]
impl Resource for Directory {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            token: DIRECTORY,
            description: "The home of one runtime on this machine. Deleting it deletes the user's files.",
            inputs: Owned::properties(),
            outputs: vec![Property::required("path", PropertyType::String, "Where the home is.")],
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs: Owned = parse(&request.inputs)?;
        let (runtime, generation) = (inputs.runtime().under(request.fence), inputs.generation);
        self.host.run(move |host| host.make_folder(&runtime, generation)).await?;
        Ok(Created { id: inputs.runtime_id.to_string(), outputs: self.outputs(&inputs) })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let runtime = match request.known::<Owned>()? {
            None => self.host.imported(&request.id).await?,
            Some(known) => Some(known.runtime()),
        };
        let Some(runtime) = runtime else { return Ok(None) };
        let owner = runtime.clone();
        let found = self.host.run(move |host| host.folder(&runtime)).await?;
        Ok(found.map(|generation| {
            let inputs = Owned::new(owner, generation);
            ReadState { id: request.id, inputs: properties(&inputs), outputs: self.outputs(&inputs) }
        }))
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        let inputs: Owned = parse(&request.new_inputs)?;
        let (runtime, generation) = (inputs.runtime().under(request.fence), inputs.generation);
        self.host.run(move |host| host.change_folder(&runtime, generation)).await?;
        Ok(self.outputs(&inputs))
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let inputs = parse::<Owned>(&request.inputs)?.removed_under(request.fence);
        let (runtime, generation) = (inputs.runtime().under(request.fence), inputs.generation);
        self.host.run(move |host| host.remove_folder(&runtime, generation)).await
    }
}
