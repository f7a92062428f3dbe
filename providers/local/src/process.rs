//! `pilot:local:Process`: the instance's process tree. Its id is the runtime id, because a process id
//! changes with every start; its ports stay.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::ErrorCode;
use provider_api::resource::{parse, properties, properties_with};
use provider_api::{
    CreateRequest, Created, DeleteRequest, Properties, Property, PropertyType, ProviderError, ReadRequest,
    ReadState, Resource, ResourceSchema, Result, UpdateRequest,
};
use provider_kit::boot;
use provider_kit::inputs::{Git, Owned};
use serde::{Deserialize, Serialize};

use crate::declare::PROCESS;
use crate::definition::Definition;
use crate::host::Host;

pub(crate) struct Process {
    pub host: Arc<Host>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inputs {
    #[serde(flatten)]
    owned: Owned,
    directory: String,
    #[serde(flatten)]
    git: Git,
}

impl Inputs {
    /// Without ports, which the machine gives.
    fn definition(&self) -> Definition {
        let mut definition = Definition::new(&self.owned.runtime(), (0, 0));
        definition.generation = self.owned.generation;
        definition.git_url.clone_from(&self.git.git_url);
        definition.git_ref.clone_from(&self.git.git_ref);
        definition
    }
}

/// Inputs as they are on the machine, and what the machine gave.
pub(crate) fn outputs(host: &Host, definition: &Definition) -> Properties {
    let (port, opencode_port) = (definition.port.into(), definition.opencode_port.into());
    properties_with(
        &inputs_of(host, definition),
        [("host", "127.0.0.1".into()), ("port", port), ("opencodePort", opencode_port)],
    )
}

fn inputs_of(host: &Host, definition: &Definition) -> Inputs {
    Inputs {
        owned: Owned::new(definition.owner(), definition.generation),
        directory: host.layout.home(&definition.runtime).to_string_lossy().into_owned(),
        git: definition.git(),
    }
}

#[async_trait]
impl Resource for Process {
    fn schema(&self) -> ResourceSchema {
        let directory = "The home, as Directory's `path` gives it.";
        let mut inputs = Owned::properties();
        inputs.push(Property::required("directory", PropertyType::String, directory));
        inputs.extend(Git::properties());
        ResourceSchema {
            token: PROCESS,
            description: "The process tree of one runtime on this machine: the instance's init and its children.",
            inputs,
            outputs: vec![
                Property::required("host", PropertyType::String, "Where the backend listens."),
                Property::required("port", PropertyType::Integer, "The backend's port."),
                Property::required(
                    "opencodePort",
                    PropertyType::Integer,
                    "OpenCode's port, for the backend only.",
                ),
            ],
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs: Inputs = parse(&request.inputs)?;
        let home = self.host.layout.home(&inputs.owned.runtime_id);
        if home.to_string_lossy() != inputs.directory {
            let message = format!(
                "the directory {} is not this machine's home of {}, which is {}",
                inputs.directory,
                inputs.owned.runtime_id,
                home.display()
            );
            return Err(ProviderError::new(ErrorCode::BadRequest, message)
                .with_action("Use the same data folder as the Pilot that owns the workspace."));
        }
        let files = boot::files(&*self.host.config.boot, &inputs.owned.runtime_id).await?;
        let (wanted, fence) = (inputs.definition(), request.fence);
        let definition = self.host.run(move |host| host.make_process(&wanted, fence, &files)).await?;
        Ok(Created { id: definition.runtime.to_string(), outputs: outputs(&self.host, &definition) })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let runtime = match request.known::<Inputs>()? {
            None => self.host.imported(&request.id).await?,
            Some(known) => Some(known.owned.runtime()),
        };
        let Some(runtime) = runtime else { return Ok(None) };
        let found = self
            .host
            .run(move |host| {
                host.layout.look(&runtime)?;
                Definition::load(&host.layout, &runtime.runtime_id)
            })
            .await?;
        Ok(found.map(|definition| ReadState {
            id: request.id,
            inputs: properties(&inputs_of(&self.host, &definition)),
            outputs: outputs(&self.host, &definition),
        }))
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        let inputs: Inputs = parse(&request.new_inputs)?;
        let (wanted, fence) = (inputs.definition(), request.fence);
        let definition = self.host.run(move |host| host.redefine(&wanted, fence)).await?;
        Ok(outputs(&self.host, &definition))
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let owned = parse::<Inputs>(&request.inputs)?.owned.removed_under(request.fence);
        let (runtime, generation) = (owned.runtime().under(request.fence), owned.generation);
        self.host.run(move |host| host.remove_process(&runtime, generation)).await
    }
}
