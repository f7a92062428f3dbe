//! A running program's link to the engine. One for each run; holds no global state.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pulumi_gestalt_proto::pulumi::pulumirpc as rpc;
use rpc::register_resource_request::PropertyDependencies;
use rpc::resource_monitor_client::ResourceMonitorClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::program::{Input, Outputs, ProgramError};
use crate::value::{self, Value};
use crate::wire::{MAX_MESSAGE, RunRequest};

/// The type of the resource that every stack has at its root.
const STACK_TYPE: &str = "pulumi:pulumi:Stack";

/// One resource to register. Inputs carry their own dependencies; `depends_on` adds more.
#[derive(Debug, Clone, Default)]
pub struct ResourceArgs {
    /// `package:module:Type`
    pub resource_type: String,
    /// Unique for its type in the stack.
    pub name: String,
    pub inputs: BTreeMap<String, Input>,
    /// URNs.
    pub depends_on: BTreeSet<String>,
    pub retain_on_delete: bool,
    pub delete_before_replace: bool,
    /// Outputs to encrypt in state besides those the provider marks.
    pub additional_secret_outputs: Vec<String>,
}

/// A resource that the engine has applied, or planned in a preview.
#[derive(Debug, Clone)]
pub struct Resource {
    pub urn: String,
    /// Empty in a preview of a create.
    pub id: String,
    outputs: BTreeMap<String, Value>,
    preview: bool,
}

impl Resource {
    /// An output, with this resource as its dependency. In a preview a missing output is unknown.
    pub fn output(&self, property: &str) -> Input {
        let missing = if self.preview { Value::Unknown } else { Value::Null };
        let value = self.outputs.get(property).cloned().unwrap_or(missing);
        Input { value, dependencies: BTreeSet::from([self.urn.clone()]) }
    }
}

/// What a [`crate::Program`] registers resources with.
pub struct Context {
    project: String,
    stack: String,
    config: HashMap<String, String>,
    preview: bool,
    root: String,
    monitor: ResourceMonitorClient<Channel>,
}

impl Context {
    pub fn project(&self) -> &str {
        &self.project
    }

    pub fn stack(&self) -> &str {
        &self.stack
    }

    /// The stack's configuration, keys as `namespace:name`, secrets decrypted.
    pub fn config(&self) -> &HashMap<String, String> {
        &self.config
    }

    /// True when nothing is applied.
    pub fn is_preview(&self) -> bool {
        self.preview
    }

    /// Registers a custom resource under the stack and waits until the engine has applied it.
    pub async fn register(&self, args: ResourceArgs) -> Result<Resource, ProgramError> {
        let request = register_request(&self.root, args);
        let response = self.monitor.clone().register_resource(request).await.map_err(refused)?.into_inner();
        Ok(Resource {
            urn: response.urn,
            id: response.id,
            outputs: value::from_struct(response.object.as_ref()),
            preview: self.preview,
        })
    }

    pub(crate) async fn open(request: &RunRequest) -> Result<Self, ProgramError> {
        let channel = Endpoint::from_shared(format!("http://{}", request.monitor_address))
            .map_err(|error| ProgramError::Refused(format!("the engine's address is unusable: {error}")))?
            .connect()
            .await
            .map_err(|_| ProgramError::Ended)?;
        let monitor = ResourceMonitorClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        let mut context = Self {
            project: request.project.clone(),
            stack: request.stack.clone(),
            config: request.config.clone(),
            preview: request.dry_run,
            root: String::new(),
            monitor,
        };
        let root = rpc::RegisterResourceRequest {
            r#type: STACK_TYPE.to_owned(),
            name: format!("{}-{}", request.project, request.stack),
            object: Some(prost_types::Struct::default()),
            accept_secrets: true,
            accept_resources: true,
            supports_result_reporting: true,
            ..Default::default()
        };
        let response = context.monitor.register_resource(root).await.map_err(refused)?;
        context.root = response.into_inner().urn;
        Ok(context)
    }

    /// Records the stack's outputs; exactly once, also for a program that failed.
    pub(crate) async fn export(&self, outputs: &Outputs) -> Result<(), ProgramError> {
        let properties = outputs.iter().map(|(name, input)| (name.clone(), input.value.clone())).collect();
        let request = rpc::RegisterResourceOutputsRequest {
            urn: self.root.clone(),
            outputs: Some(value::to_struct(&properties)),
        };
        self.monitor.clone().register_resource_outputs(request).await.map_err(refused)?;
        Ok(())
    }

    /// Tells the engine that no more will come and waits for its last step. Only after a success.
    pub(crate) async fn finish(&self) {
        // Engines before 3.181 do not have it; then returning from Run says the same.
        let _ = self.monitor.clone().signal_and_wait_for_shutdown(()).await;
    }
}

fn register_request(root: &str, args: ResourceArgs) -> rpc::RegisterResourceRequest {
    let mut dependencies = args.depends_on;
    let mut property_dependencies = HashMap::new();
    let mut object = BTreeMap::new();
    for (name, input) in args.inputs {
        dependencies.extend(input.dependencies.iter().cloned());
        // Sent for every property: without an entry the engine takes all dependencies for it.
        let urns = input.dependencies.into_iter().collect();
        property_dependencies.insert(name.clone(), PropertyDependencies { urns });
        object.insert(name, input.value);
    }
    rpc::RegisterResourceRequest {
        r#type: args.resource_type,
        name: args.name,
        parent: root.to_owned(),
        custom: true,
        object: Some(value::to_struct(&object)),
        dependencies: dependencies.into_iter().collect(),
        property_dependencies,
        retain_on_delete: args.retain_on_delete.then_some(true),
        delete_before_replace: args.delete_before_replace,
        delete_before_replace_defined: args.delete_before_replace,
        additional_secret_outputs: args.additional_secret_outputs,
        accept_secrets: true,
        accept_resources: true,
        supports_partial_values: true,
        supports_result_reporting: true,
        ..Default::default()
    }
}

/// The engine closes the monitor when a resource fails or the user cancels; the reason is in its own
/// diagnostics then.
fn refused(status: Status) -> ProgramError {
    match status.code() {
        Code::Unavailable | Code::Cancelled | Code::Aborted => ProgramError::Ended,
        _ if status.message().contains("resource monitor shut down") => ProgramError::Ended,
        _ => ProgramError::Refused(status.message().to_owned()),
    }
}
