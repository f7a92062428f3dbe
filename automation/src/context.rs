//! A running program's link to the engine. One for each run; holds no global state.

mod callbacks;
mod config;
mod connection;
mod family;
mod function;
mod hooks;
mod log;
mod options;
mod package;
mod parent;
mod read;
mod register;
mod request;
mod resource;
mod stack_reference;
mod transform;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tonic::transport::Channel;

use crate::wire as rpc;
use rpc::engine_client::EngineClient;
use rpc::resource_monitor_client::ResourceMonitorClient;

use self::config::Config;
pub(crate) use self::connection::unreachable;
use self::connection::{Features, Requests, refused};
use self::family::Family;
pub use self::function::{InvokeOptions, Returned};
pub use self::hooks::{ErrorHook, Hook, Hooks, Step};
pub use self::log::Severity;
pub use self::options::{
    Alias, AliasParent, CustomTimeouts, ProviderReference, ResourceOptions, SourcePosition,
};
pub use self::options::{Transform, Transformed};
pub use self::package::{Package, PackageReference, Parameterization};
pub use self::parent::Parent;
pub use self::resource::{Resource, ResourceArgs};
pub use self::stack_reference::StackReference;
pub use self::transform::TransformedInvoke;
use crate::program_error::ProgramError;
use crate::value::Outputs;
use crate::wire::{RunRequest, STACK_TYPE};

/// What a [`crate::Program`] registers resources with. Cheap to clone; all clones are of the same run,
/// and of no use after it.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

struct Inner {
    project: String,
    stack: String,
    organization: String,
    config: Config,
    preview: bool,
    /// URN of the stack.
    root: String,
    monitor: ResourceMonitorClient<Channel>,
    engine: EngineClient<Channel>,
    features: Features,
    family: Family,
    requests: Requests,
    /// URNs of resources without an id: they do not exist, and in this run they may never do.
    unmade: Mutex<BTreeSet<String>>,
    /// URNs that have been given their outputs; the engine takes them once.
    with_outputs: Mutex<BTreeSet<String>>,
    callbacks: tokio::sync::OnceCell<callbacks::Server>,
}

impl Inner {
    fn request(&self) -> request::Run<'_> {
        request::Run { root: &self.root, features: self.features, family: &self.family }
    }
}

impl Context {
    /// The project's name.
    pub fn project(&self) -> &str {
        &self.inner.project
    }

    /// The stack's name, without project and organization.
    pub fn stack(&self) -> &str {
        &self.inner.stack
    }

    /// The stack's organization; the word `organization` in backends that have none.
    pub fn organization(&self) -> &str {
        &self.inner.organization
    }

    /// The URN of the stack itself, the parent of everything that names no other.
    pub fn root(&self) -> &str {
        &self.inner.root
    }

    /// True when nothing is applied (Pulumi: *dry run*).
    pub fn is_preview(&self) -> bool {
        self.inner.preview
    }

    /// Connects to the engine and registers the stack itself.
    pub(crate) async fn open(request: &RunRequest) -> Result<Self, ProgramError> {
        let monitor = connection::monitor(&request.monitor_address).await?;
        let root = rpc::RegisterResourceRequest {
            r#type: STACK_TYPE.to_owned(),
            name: format!("{}-{}", request.project, request.stack),
            object: Some(rpc::Struct::default()),
            accept_secrets: true,
            accept_resources: true,
            accepts_byte_string: true,
            supports_result_reporting: true,
            ..Default::default()
        };
        let mut client = monitor.clone();
        let register = async { client.register_resource(root).await.map_err(refused) };
        // Side by side, so that asking costs no time.
        let (features, root) = tokio::try_join!(Features::ask(&monitor), register)?;
        let inner = Inner {
            project: request.project.clone(),
            stack: request.stack.clone(),
            organization: request.organization.clone(),
            config: Config {
                values: request.config.clone(),
                secret_keys: request.config_secret_keys.iter().cloned().collect(),
            },
            preview: request.dry_run,
            root: root.into_inner().urn,
            monitor,
            engine: connection::engine(request.args.first().map(String::as_str).unwrap_or_default())?,
            features,
            family: Family::default(),
            requests: Requests::new(),
            unmade: Mutex::default(),
            with_outputs: Mutex::default(),
            callbacks: tokio::sync::OnceCell::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Waits for what the program's own tasks still have under way.
    pub(crate) async fn settled(&self) {
        self.inner.requests.settled().await;
    }

    /// Records the stack's outputs.
    pub(crate) async fn export(&self, outputs: &Outputs) -> Result<(), ProgramError> {
        self.outputs(&self.inner.root, outputs.clone()).await
    }

    /// Tells the engine that no more will come and waits for its last step. Only after a success.
    pub(crate) async fn finish(&self) {
        // Engines before 3.181 do not have it; then returning from Run says the same.
        let _ = self.inner.monitor.clone().signal_and_wait_for_shutdown(()).await;
    }

    /// When this is dropped, the engine can call none of the program's functions any more.
    pub(crate) fn closing(&self) -> Closing {
        Closing(Arc::clone(&self.inner))
    }
}

pub(crate) struct Closing(Arc<Inner>);

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(server) = self.0.callbacks.get() {
            server.close();
        }
    }
}
