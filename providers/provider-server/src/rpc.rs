//! The engine's calls, translated to the traits of `provider-api`. No decision is made here.

use std::sync::Arc;
use std::time::Duration;

use provider_api::{
    CreateRequest, DeleteRequest, DiffRequest, ProviderError, ReadRequest, Resource, ResourceSchema,
    UpdateRequest,
};
use pulumi_gestalt_proto::pulumi::pulumirpc as rpc;
use rpc::diff_response::DiffChanges;
use rpc::property_diff::Kind;
use tonic::{Request, Response, Status};

use crate::Registry;
use crate::convert::Marked;
use crate::detached::Detached;
use crate::failure::{self, Failures};
use crate::schema::package_schema;

type Answer<T> = Result<Response<T>, Status>;

pub struct Service {
    registry: Registry,
    failures: Arc<Failures>,
    detached: Arc<Detached>,
}

impl Service {
    pub fn new(registry: Registry, failures: Arc<Failures>, detached: Arc<Detached>) -> Self {
        Self { registry, failures, detached }
    }

    fn resource(&self, token: &str, urn: &str) -> Result<Arc<dyn Resource>, Status> {
        // Older engines send the type only as a part of the URN.
        let token = if token.is_empty() { type_of(urn) } else { token };
        self.registry
            .get(token)
            .ok_or_else(|| Status::invalid_argument(format!("this plugin has no resource type {token:?}")))
    }

    fn settle<T>(
        &self,
        urn: &str,
        result: Result<T, ProviderError>,
        inputs: &Marked,
        schema: &ResourceSchema,
    ) -> Result<T, Status> {
        self.failures.note(urn, &result);
        result.map_err(|error| failure::status(&error, inputs, schema))
    }
}

/// `urn:pulumi:stack::project::parent$type::name`
fn type_of(urn: &str) -> &str {
    let qualified = urn.split("::").nth(2).unwrap_or_default();
    qualified.rsplit('$').next().unwrap_or(qualified)
}

/// The engine's limit in seconds; 0 is none. What no clock can measure is none either.
fn limit(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero())
}

fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
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
        Ok(Response::new(rpc::PluginInfo { version: version() }))
    }

    async fn get_schema(&self, _: Request<rpc::GetSchemaRequest>) -> Answer<rpc::GetSchemaResponse> {
        let schema = package_schema(&self.registry, &version()).to_string();
        Ok(Response::new(rpc::GetSchemaResponse { schema }))
    }

    async fn check_config(&self, request: Request<rpc::CheckRequest>) -> Answer<rpc::CheckResponse> {
        Ok(Response::new(rpc::CheckResponse { inputs: request.into_inner().news, failures: Vec::new() }))
    }

    async fn diff_config(&self, _: Request<rpc::DiffRequest>) -> Answer<rpc::DiffResponse> {
        Ok(Response::new(rpc::DiffResponse { changes: DiffChanges::DiffNone.into(), ..Default::default() }))
    }

    async fn configure(&self, _: Request<rpc::ConfigureRequest>) -> Answer<rpc::ConfigureResponse> {
        Ok(Response::new(rpc::ConfigureResponse {
            accept_secrets: true,
            supports_preview: true,
            accept_resources: true,
            accept_outputs: false,
            supports_autonaming_configuration: false,
        }))
    }

    async fn check(&self, request: Request<rpc::CheckRequest>) -> Answer<rpc::CheckResponse> {
        let request = request.into_inner();
        let resource = self.resource(&request.r#type, &request.urn)?;
        let inputs = Marked::read(request.news.as_ref());
        let unknown = inputs.unknown();
        let failures = resource.check(&inputs.plain()).into_iter();
        let failures = failures.filter(|failure| !unknown.contains(&failure.property));
        let failures =
            failures.map(|failure| rpc::CheckFailure { property: failure.property, reason: failure.reason });
        Ok(Response::new(rpc::CheckResponse { inputs: request.news, failures: failures.collect() }))
    }

    async fn diff(&self, request: Request<rpc::DiffRequest>) -> Answer<rpc::DiffResponse> {
        let request = request.into_inner();
        let resource = self.resource(&request.r#type, &request.urn)?;
        let news = Marked::read(request.news.as_ref());
        let mut diff = resource.diff(&DiffRequest {
            id: request.id,
            old_inputs: Marked::read(request.old_inputs.as_ref()).plain(),
            old_outputs: Marked::read(request.olds.as_ref()).plain(),
            new_inputs: news.plain(),
        });
        diff.changed.extend(news.unknown());
        diff.changed.sort();
        diff.changed.dedup();
        diff.changed.retain(|property| !request.ignore_changes.contains(property));
        diff.replaces.retain(|property| diff.changed.contains(property));
        let detail = |property: &String| {
            let replace = diff.replaces.contains(property);
            let kind = if replace { Kind::UpdateReplace } else { Kind::Update };
            (property.clone(), rpc::PropertyDiff { kind: kind.into(), input_diff: true })
        };
        let changes = if diff.changed.is_empty() { DiffChanges::DiffNone } else { DiffChanges::DiffSome };
        Ok(Response::new(rpc::DiffResponse {
            detailed_diff: diff.changed.iter().map(detail).collect(),
            has_detailed_diff: true,
            changes: changes.into(),
            diffs: diff.changed,
            replaces: diff.replaces,
            stables: Vec::new(),
            delete_before_replace: false,
        }))
    }

    async fn create(&self, request: Request<rpc::CreateRequest>) -> Answer<rpc::CreateResponse> {
        let request = request.into_inner();
        let resource = self.resource(&request.r#type, &request.urn)?;
        let (schema, inputs) = (resource.schema(), Marked::read(request.properties.as_ref()));
        if request.preview {
            let properties = Some(inputs.previewed(&schema));
            return Ok(Response::new(rpc::CreateResponse { properties, ..Default::default() }));
        }
        let create = CreateRequest {
            urn: request.urn.clone(),
            inputs: inputs.plain(),
            timeout: limit(request.timeout),
        };
        let result = self.detached.run(&request.urn, async move { resource.create(create).await }).await;
        let created = self.settle(&request.urn, result, &inputs, &schema)?;
        let properties = Some(inputs.outputs(&schema, created.outputs));
        Ok(Response::new(rpc::CreateResponse { id: created.id, properties, refresh_before_update: false }))
    }

    async fn read(&self, request: Request<rpc::ReadRequest>) -> Answer<rpc::ReadResponse> {
        let request = request.into_inner();
        let resource = self.resource(&request.r#type, &request.urn)?;
        let (schema, inputs) = (resource.schema(), Marked::read(request.inputs.as_ref()));
        let outputs = Marked::read(request.properties.as_ref()).plain();
        let read = ReadRequest { id: request.id, inputs: inputs.plain(), outputs };
        let result = self.detached.run(&request.urn, async move { resource.read(read).await }).await;
        let Some(state) = self.settle(&request.urn, result, &inputs, &schema)? else {
            // An empty id tells the engine that the object is gone.
            return Ok(Response::new(rpc::ReadResponse::default()));
        };
        Ok(Response::new(rpc::ReadResponse {
            id: state.id,
            properties: Some(inputs.outputs(&schema, state.outputs)),
            inputs: Some(inputs.outputs(&schema, state.inputs)),
            refresh_before_update: false,
        }))
    }

    async fn update(&self, request: Request<rpc::UpdateRequest>) -> Answer<rpc::UpdateResponse> {
        let request = request.into_inner();
        let resource = self.resource(&request.r#type, &request.urn)?;
        let (schema, inputs) = (resource.schema(), Marked::read(request.news.as_ref()));
        let olds = Marked::read(request.olds.as_ref());
        if request.preview {
            let properties = Some(inputs.previewed_over(&olds));
            return Ok(Response::new(rpc::UpdateResponse { properties, refresh_before_update: false }));
        }
        let update = UpdateRequest {
            id: request.id,
            urn: request.urn.clone(),
            old_inputs: Marked::read(request.old_inputs.as_ref()).plain(),
            old_outputs: olds.plain(),
            new_inputs: inputs.plain(),
        };
        let result = self.detached.run(&request.urn, async move { resource.update(update).await }).await;
        let outputs = self.settle(&request.urn, result, &inputs, &schema)?;
        let properties = Some(inputs.outputs(&schema, outputs));
        Ok(Response::new(rpc::UpdateResponse { properties, refresh_before_update: false }))
    }

    async fn delete(&self, request: Request<rpc::DeleteRequest>) -> Answer<()> {
        let request = request.into_inner();
        let resource = self.resource(&request.r#type, &request.urn)?;
        let (schema, inputs) = (resource.schema(), Marked::read(request.old_inputs.as_ref()));
        let delete = DeleteRequest {
            id: request.id,
            urn: request.urn.clone(),
            inputs: inputs.plain(),
            outputs: Marked::read(request.properties.as_ref()).plain(),
        };
        let result = self.detached.run(&request.urn, async move { resource.delete(delete).await }).await;
        self.settle(&request.urn, result, &inputs, &schema).map(Response::new)
    }

    /// Sent at every normal end as well, so it is no reason to stop anything.
    async fn cancel(&self, _: Request<()>) -> Answer<()> {
        Ok(Response::new(()))
    }

    async fn parameterize(&self, _: Request<rpc::ParameterizeRequest>) -> Answer<rpc::ParameterizeResponse> {
        unimplemented("Parameterize")
    }

    async fn invoke(&self, _: Request<rpc::InvokeRequest>) -> Answer<rpc::InvokeResponse> {
        unimplemented("Invoke")
    }

    async fn call(&self, _: Request<rpc::CallRequest>) -> Answer<rpc::CallResponse> {
        unimplemented("Call")
    }

    async fn construct(&self, _: Request<rpc::ConstructRequest>) -> Answer<rpc::ConstructResponse> {
        unimplemented("Construct")
    }

    async fn get_mapping(&self, _: Request<rpc::GetMappingRequest>) -> Answer<rpc::GetMappingResponse> {
        unimplemented("GetMapping")
    }

    async fn get_mappings(&self, _: Request<rpc::GetMappingsRequest>) -> Answer<rpc::GetMappingsResponse> {
        unimplemented("GetMappings")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_makes_no_sense_is_none() {
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(limit(seconds), None, "{seconds}");
        }
        assert_eq!(limit(1.5), Some(Duration::from_millis(1500)));
    }
}
