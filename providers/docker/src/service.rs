//! `pilot:docker:Service` and `pilot:docker:ServiceVolume`: a long-running program on the Docker host that
//! is no workspace, such as Pilot itself. The root `Pulumi.yaml` installs Pilot with them.
//!
//! Who it belongs to is a label with text that the program gives, because a service has no runtime and no
//! installation: it is what an installation runs in. Updates are one at a time, which Pulumi's lock of the
//! stack sees to; between others Docker's own conflicts decide. Of several hosts the first has the services.

mod daemon;
mod guard;
mod health;
mod labels;
mod spec;
mod volume;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use provider_api::differences;
use provider_api::resource::{parse, properties, properties_with};
use provider_api::{
    CreateRequest, Created, DeleteRequest, Diff, DiffRequest, Properties, Property, PropertyType,
    ReadRequest, ReadState, Resource, ResourceSchema, Result, UpdateRequest,
};

use crate::container;
use crate::hosts::Hosts;
use daemon::Daemon;
use spec::Inputs;

pub(crate) use volume::ServiceVolumeResource;

const TOKEN: &str = "pilot:docker:Service";
/// Says whether an update has something to repair; see [`Daemon::is_intact`].
const INTACT: &str = "intact";
/// How long it may take until its health URL answers, unless the program sets a limit of its own.
const TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) struct ServiceResource {
    pub hosts: Arc<Hosts>,
}

impl ServiceResource {
    fn daemon<'a>(&'a self, inputs: &'a Inputs) -> Result<Daemon<'a>> {
        Ok(Daemon { engine: self.hosts.first()?, inputs })
    }

    /// From the first moment on at which the container exists it stays owned, whatever happens to it.
    async fn apply(&self, inputs: &Inputs, timeout: Duration) -> Result<Properties> {
        let daemon = self.daemon(inputs)?;
        daemon.ensure().await?;
        let partial =
            |error: provider_api::ProviderError| error.partial(&inputs.name, outputs(inputs, false));
        daemon.run(timeout).await.map_err(partial)?;
        Ok(outputs(inputs, true))
    }
}

fn outputs(inputs: &Inputs, intact: bool) -> Properties {
    properties_with(inputs, [(INTACT, intact.into())])
}

#[async_trait]
impl Resource for ServiceResource {
    fn schema(&self) -> ResourceSchema {
        let mut inputs = labels::schema("The container's name in Docker, which is its id here too.");
        inputs.extend([
            Property::required("image", PropertyType::String, "An image that is on the Docker host.")
                .example("pilot:0.1.0"),
            Property::required("command", PropertyType::STRING_LIST, "What follows the image's entrypoint.")
                .example(r#"["serve", "--providers", "docker"]"#),
            Property::optional(
                "environment",
                PropertyType::STRING_MAP,
                "Variables of its process. All values are secret; Docker shows them to those who may use it.",
            )
            .secret(),
            Property::optional(
                "volumes",
                PropertyType::STRING_MAP,
                "Names of volumes that exist, each with the folder at which the container has it.",
            )
            .example(r#"{"pilot": "/var/lib/pilot"}"#),
            Property::optional(
                "dockerSocket",
                PropertyType::String,
                "The Docker host's socket, for a service that makes containers: it gets the rights of root.",
            )
            .example("/var/run/docker.sock"),
            Property::optional("hostNetwork", PropertyType::Boolean, "Whether it shares the host's network.")
                .default("false"),
            Property::optional(
                "healthUrl",
                PropertyType::String,
                "Create and update end when this answers with a success, asked from where Pulumi runs.",
            )
            .example("http://127.0.0.1:8080/health"),
            Property::optional(
                "deleteGuard",
                PropertyType::STRING_LIST,
                "A command in the container that is asked before a delete: unless it succeeds, the delete is \
                 refused with what it said. While the service does not run a delete is refused as well.",
            )
            .example(r#"["pilot", "ws", "ls", "--expect-none"]"#),
        ]);
        ResourceSchema {
            token: TOKEN,
            description: "A container that always runs, also after a restart of the host. What is to be kept \
                          is in volumes: a change of its inputs makes the container anew.",
            inputs,
            outputs: vec![Property::required(
                INTACT,
                PropertyType::Boolean,
                "Whether it runs, from what its image's name means now. If a refresh finds it otherwise, the \
                 next update repairs it.",
            )],
        }
    }

    async fn create(&self, request: CreateRequest) -> Result<Created> {
        let inputs: Inputs = parse(&request.inputs)?;
        let outputs = self.apply(&inputs, request.timeout.unwrap_or(TIMEOUT)).await?;
        Ok(Created { id: inputs.name, outputs })
    }

    async fn read(&self, request: ReadRequest) -> Result<Option<ReadState>> {
        let Some(found) = crate::container::inspect(self.hosts.first()?, &request.id).await? else {
            return Ok(None);
        };
        let known: Option<Inputs> = request.known()?;
        if let Some(known) = &known {
            labels::must_own("container", &request.id, &container::labels(&found), &known.owner)?;
        }
        let Some(inputs) = Inputs::of(&found) else { return Ok(None) };
        let intact = self.daemon(&inputs)?.is_intact(&found).await?;
        // As the program wrote them when they mean the same: an empty map is no difference to none.
        let shown = match known.as_ref() == Some(&inputs) {
            true => request.inputs,
            false => properties(&inputs),
        };
        let outputs = properties_with(&shown, [(INTACT, intact.into())]);
        Ok(Some(ReadState { outputs, inputs: shown, id: request.id }))
    }

    async fn update(&self, request: UpdateRequest) -> Result<Properties> {
        self.apply(&parse(&request.new_inputs)?, TIMEOUT).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let inputs: Inputs = parse(&request.inputs)?;
        self.daemon(&inputs)?.delete().await
    }

    fn diff(&self, request: &DiffRequest) -> Diff {
        let mut diff = differences(&self.schema(), request);
        if request.old_outputs.get(INTACT) == Some(&false.into()) {
            diff.changed.push(INTACT.to_owned());
        }
        diff
    }
}
