//! The engine's calls: where each is answered. What the engine expects is Pulumi's `provider.proto`,
//! as of 3.276.
//!
//! | Method | Answer |
//! |---|---|
//! | Handshake | what this server understands: secrets and resource references |
//! | Attach, GetPluginInfo | nothing to do; the version |
//! | GetSchema | the package schema, made once |
//! | CheckConfig, DiffConfig, Configure | settings of modules, for the provider of one connection; unknown keys and credentials are refused |
//! | Check | defaults, secret marks, all failures at once; unknown properties are not judged |
//! | Diff | what changes and what replaces, by property. A replaced object is deleted first: its name comes from its inputs, so two cannot be there |
//! | Create, Update | in a preview, outputs with unknowns and no work; else the module's work, which a broken connection does not end. A failure that left something behind keeps its id and inputs (`ErrorResourceInitFailed`) |
//! | Read | for refresh and for import, where only the id is known; no id in the answer means gone |
//! | Delete | what is gone already is a success |
//! | Invoke | `pilot:index:getProviders` |
//! | Cancel | nothing: the engine sends it at every normal end too. Work under way comes to its end and is recorded; the engine begins nothing new |
//! | GetMapping, GetMappings | none: no other tool's types are served |
//! | Parameterize, Construct, Call | unimplemented: the package has no parameters, no components and no methods |
//! | List | unimplemented: `pulumi do` asks for it, stacks never do |

use std::sync::Arc;

use automation::value::from_struct;
use provider_api::{CheckFailure, ProviderError};
use pulumi_gestalt_proto::pulumi::pulumirpc as rpc;
use rpc::diff_response::DiffChanges;
use tonic::{Request, Response, Status};

use crate::configured::Configured;
use crate::detached::Detached;
use crate::failure::Failures;
use crate::fences::Fences;
use crate::{Registry, config, lookup};

mod steps;

type Answer<T> = Result<Response<T>, Status>;

pub struct Service {
    registry: Registry,
    /// What providers with settings of their own serve.
    configured: Configured,
    failures: Arc<Failures>,
    detached: Arc<Detached>,
    fences: Arc<Fences>,
}

impl Service {
    pub fn new(
        registry: Registry,
        failures: Arc<Failures>,
        detached: Arc<Detached>,
        fences: Arc<Fences>,
    ) -> Self {
        Self { registry, configured: Configured::default(), failures, detached, fences }
    }

    fn registry<T>(&self, request: &Request<T>) -> Result<Registry, Status> {
        let own = self.configured.of(request.remote_addr())?;
        Ok(own.unwrap_or_else(|| self.registry.clone()))
    }
}

fn failures(failures: Vec<CheckFailure>) -> Vec<rpc::CheckFailure> {
    let failures = failures.into_iter();
    failures.map(|failure| rpc::CheckFailure { property: failure.property, reason: failure.reason }).collect()
}

fn unimplemented<T>(call: &str) -> Answer<T> {
    Err(Status::unimplemented(format!("{call} is not offered by this plugin")))
}

#[tonic::async_trait]
impl rpc::resource_provider_server::ResourceProvider for Service {
    async fn handshake(
        &self,
        _: Request<rpc::ProviderHandshakeRequest>,
    ) -> Answer<rpc::ProviderHandshakeResponse> {
        Ok(Response::new(rpc::ProviderHandshakeResponse {
            accept_secrets: true,
            accept_resources: true,
            accept_outputs: false,
            supports_autonaming_configuration: false,
        }))
    }

    async fn attach(&self, _: Request<rpc::PluginAttach>) -> Answer<()> {
        Ok(Response::new(()))
    }

    async fn get_plugin_info(&self, _: Request<()>) -> Answer<rpc::PluginInfo> {
        Ok(Response::new(rpc::PluginInfo { version: env!("CARGO_PKG_VERSION").to_owned() }))
    }

    async fn get_schema(&self, _: Request<rpc::GetSchemaRequest>) -> Answer<rpc::GetSchemaResponse> {
        Ok(Response::new(rpc::GetSchemaResponse { schema: self.registry.schema().to_owned() }))
    }

    async fn check_config(&self, request: Request<rpc::CheckRequest>) -> Answer<rpc::CheckResponse> {
        let inputs = request.into_inner().news;
        let failures = failures(config::check(&self.registry, &from_struct(inputs.as_ref())));
        Ok(Response::new(rpc::CheckResponse { inputs, failures }))
    }

    async fn diff_config(&self, request: Request<rpc::DiffRequest>) -> Answer<rpc::DiffResponse> {
        let request = request.into_inner();
        let (old, new) = (from_struct(request.old_inputs.as_ref()), from_struct(request.news.as_ref()));
        let diffs = config::changed(&old, &new);
        let changes = if diffs.is_empty() { DiffChanges::DiffNone } else { DiffChanges::DiffSome };
        Ok(Response::new(rpc::DiffResponse { changes: changes.into(), diffs, ..Default::default() }))
    }

    async fn configure(&self, request: Request<rpc::ConfigureRequest>) -> Answer<rpc::ConfigureResponse> {
        let peer = request.remote_addr();
        let given = from_struct(request.into_inner().args.as_ref());
        let configured = config::configured(&self.registry, &given)?;
        // Where no program can configure anything, all connections are the same.
        if let (Some(peer), Some(_)) = (peer, self.registry.rebuild()) {
            self.configured.set(peer, configured);
        }
        Ok(Response::new(rpc::ConfigureResponse {
            accept_secrets: true,
            supports_preview: true,
            accept_resources: true,
            accept_outputs: false,
            supports_autonaming_configuration: false,
        }))
    }

    async fn check(&self, request: Request<rpc::CheckRequest>) -> Answer<rpc::CheckResponse> {
        let registry = self.registry(&request)?;
        self.check_step(&registry, request.into_inner()).map(Response::new)
    }

    async fn diff(&self, request: Request<rpc::DiffRequest>) -> Answer<rpc::DiffResponse> {
        let registry = self.registry(&request)?;
        self.diff_step(&registry, request.into_inner()).map(Response::new)
    }

    async fn create(&self, request: Request<rpc::CreateRequest>) -> Answer<rpc::CreateResponse> {
        let registry = self.registry(&request)?;
        self.create_step(&registry, request.into_inner()).await.map(Response::new)
    }

    async fn read(&self, request: Request<rpc::ReadRequest>) -> Answer<rpc::ReadResponse> {
        let registry = self.registry(&request)?;
        self.read_step(&registry, request.into_inner()).await.map(Response::new)
    }

    async fn update(&self, request: Request<rpc::UpdateRequest>) -> Answer<rpc::UpdateResponse> {
        let registry = self.registry(&request)?;
        self.update_step(&registry, request.into_inner()).await.map(Response::new)
    }

    async fn delete(&self, request: Request<rpc::DeleteRequest>) -> Answer<()> {
        let registry = self.registry(&request)?;
        self.delete_step(&registry, request.into_inner()).await.map(Response::new)
    }

    async fn invoke(&self, request: Request<rpc::InvokeRequest>) -> Answer<rpc::InvokeResponse> {
        let registry = self.registry(&request)?;
        let token = request.into_inner().tok;
        match lookup::invoke(&registry, &token) {
            Some(answer) => {
                Ok(Response::new(rpc::InvokeResponse { r#return: Some(answer), ..Default::default() }))
            }
            None => Err(Status::invalid_argument(format!("this plugin has no function {token:?}"))),
        }
    }

    async fn cancel(&self, _: Request<()>) -> Answer<()> {
        Ok(Response::new(()))
    }

    async fn get_mapping(&self, _: Request<rpc::GetMappingRequest>) -> Answer<rpc::GetMappingResponse> {
        Ok(Response::new(rpc::GetMappingResponse::default()))
    }

    async fn get_mappings(&self, _: Request<rpc::GetMappingsRequest>) -> Answer<rpc::GetMappingsResponse> {
        Ok(Response::new(rpc::GetMappingsResponse::default()))
    }

    async fn parameterize(&self, _: Request<rpc::ParameterizeRequest>) -> Answer<rpc::ParameterizeResponse> {
        unimplemented("Parameterize")
    }

    async fn construct(&self, _: Request<rpc::ConstructRequest>) -> Answer<rpc::ConstructResponse> {
        unimplemented("Construct")
    }

    async fn call(&self, _: Request<rpc::CallRequest>) -> Answer<rpc::CallResponse> {
        unimplemented("Call")
    }
}
