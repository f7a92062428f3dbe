//! The engine's calls and what the cloud does for each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use prost_types::Struct;
use pulumi_auto::Value;
use pulumi_auto::value::{from_struct, to_struct};
use tonic::{Request, Response, Status};

use super::{Properties, Seen, Shared, construct, rpc};
use rpc::diff_response::DiffChanges;
use rpc::resource_provider_server::{ResourceProvider, ResourceProviderServer};

const MAX_MESSAGE: usize = 400 << 20;

type Answer<T> = Result<Response<T>, Status>;

pub struct Service(Arc<Shared>);

pub fn server(shared: Arc<Shared>) -> ResourceProviderServer<Service> {
    ResourceProviderServer::new(Service(shared))
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE)
}

/// `google.rpc.Status`, the only form in which the engine reads details.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

fn name(urn: &str) -> String {
    urn.rsplit("::").next().unwrap_or(urn).to_owned()
}

fn text(inputs: &Properties, key: &str) -> Option<String> {
    inputs.get(key).and_then(Value::reveal_str).map(str::to_owned)
}

fn outputs(inputs: &Properties, name: &str) -> Properties {
    let mut outputs = inputs.clone();
    outputs.insert("address".to_owned(), format!("address-of-{name}").into());
    if let Some(hidden) = text(inputs, "secretOutput") {
        outputs.insert("hidden".to_owned(), Value::secret(hidden));
    }
    outputs
}

/// The thing was made, but does not work.
fn partial(id: &str, inputs: &Properties, outputs: &Properties, why: String) -> Status {
    let detail = rpc::ErrorResourceInitFailed {
        id: id.to_owned(),
        properties: Some(to_struct(outputs)),
        reasons: vec![why.clone()],
        inputs: Some(to_struct(inputs)),
        refresh_before_update: false,
    };
    let any = prost_types::Any {
        type_url: "type.googleapis.com/pulumirpc.ErrorResourceInitFailed".to_owned(),
        value: detail.encode_to_vec(),
    };
    let code = tonic::Code::FailedPrecondition;
    let status = RpcStatus { code: code as i32, message: why.clone(), details: vec![any] };
    Status::with_details(code, why, status.encode_to_vec().into())
}

impl Service {
    async fn make(&self, name: &str, inputs: &Properties) -> Result<(), Status> {
        if let Some(Value::Number(milliseconds)) = inputs.get("slow") {
            tokio::time::sleep(Duration::from_millis(*milliseconds as u64)).await;
        }
        self.0.until_released(name).await;
        if let Some(why) = text(inputs, "vanish") {
            return Err(Status::unknown(why));
        }
        text(inputs, "fail").map_or(Ok(()), |why| Err(Status::failed_precondition(why)))
    }

    fn keep(&self, id: &str, inputs: &Properties) {
        self.0.things.lock().unwrap().insert(id.to_owned(), inputs.clone());
    }

    fn seen(&self, call: &'static str, urn: &str, inputs: Option<&Struct>, peer: Option<SocketAddr>) -> Seen {
        Seen { call, name: name(urn), inputs: from_struct(inputs), connection: peer, ..Default::default() }
    }
}

#[tonic::async_trait]
impl ResourceProvider for Service {
    async fn handshake(
        &self,
        _: Request<rpc::ProviderHandshakeRequest>,
    ) -> Answer<rpc::ProviderHandshakeResponse> {
        Ok(Response::new(rpc::ProviderHandshakeResponse {
            accept_secrets: true,
            accept_resources: true,
            accept_outputs: true,
            accepts_byte_string: true,
            ..Default::default()
        }))
    }

    async fn attach(&self, _: Request<rpc::PluginAttach>) -> Answer<()> {
        Ok(Response::new(()))
    }

    async fn get_plugin_info(&self, _: Request<()>) -> Answer<rpc::PluginInfo> {
        Ok(Response::new(rpc::PluginInfo { version: "1.0.0".to_owned() }))
    }

    async fn get_schema(&self, _: Request<rpc::GetSchemaRequest>) -> Answer<rpc::GetSchemaResponse> {
        let schema = include_str!("../../../gestalt/cloud.json").to_owned();
        Ok(Response::new(rpc::GetSchemaResponse { schema }))
    }

    async fn parameterize(
        &self,
        request: Request<rpc::ParameterizeRequest>,
    ) -> Answer<rpc::ParameterizeResponse> {
        let (name, version) = match request.into_inner().parameters {
            Some(rpc::parameterize_request::Parameters::Value(value)) => (value.name, value.version),
            _ => return Err(Status::unimplemented("only by value")),
        };
        self.0.note(self.seen("parameterize", &name, None, None));
        Ok(Response::new(rpc::ParameterizeResponse { name, version }))
    }

    async fn check_config(&self, request: Request<rpc::CheckRequest>) -> Answer<rpc::CheckResponse> {
        let inputs = request.into_inner().news;
        Ok(Response::new(rpc::CheckResponse { inputs, failures: Vec::new() }))
    }

    async fn diff_config(&self, _: Request<rpc::DiffRequest>) -> Answer<rpc::DiffResponse> {
        let changes = DiffChanges::DiffNone as i32;
        Ok(Response::new(rpc::DiffResponse { changes, ..Default::default() }))
    }

    async fn configure(&self, request: Request<rpc::ConfigureRequest>) -> Answer<rpc::ConfigureResponse> {
        let peer = request.remote_addr();
        let request = request.into_inner();
        let seen = self.seen("configure", request.urn(), request.args.as_ref(), peer);
        self.0.note(seen);
        Ok(Response::new(rpc::ConfigureResponse {
            accept_secrets: true,
            supports_preview: true,
            accept_resources: true,
            accept_outputs: true,
            supports_autonaming_configuration: false,
        }))
    }

    async fn check(&self, request: Request<rpc::CheckRequest>) -> Answer<rpc::CheckResponse> {
        let peer = request.remote_addr();
        let request = request.into_inner();
        let seen = self.seen("check", &request.urn, request.news.as_ref(), peer);
        let failure = |reason| rpc::CheckFailure { property: "invalid".to_owned(), reason };
        let failures = text(&seen.inputs, "invalid").map(failure).into_iter().collect();
        self.0.note(seen);
        Ok(Response::new(rpc::CheckResponse { inputs: request.news, failures }))
    }

    async fn diff(&self, request: Request<rpc::DiffRequest>) -> Answer<rpc::DiffResponse> {
        let peer = request.remote_addr();
        let request = request.into_inner();
        self.0.note(self.seen("diff", &request.urn, request.news.as_ref(), peer));
        let (olds, news) = (from_struct(request.old_inputs.as_ref()), from_struct(request.news.as_ref()));
        let differs = |key: &&String| olds.get(*key) != news.get(*key);
        let mut diffs: Vec<String> = olds.keys().chain(news.keys()).filter(differs).cloned().collect();
        diffs.dedup();
        let changes = if diffs.is_empty() { DiffChanges::DiffNone } else { DiffChanges::DiffSome };
        let replaces = diffs.iter().filter(|key| *key == "fixed").cloned().collect();
        Ok(Response::new(rpc::DiffResponse {
            changes: changes as i32,
            diffs,
            replaces,
            ..Default::default()
        }))
    }

    async fn create(&self, request: Request<rpc::CreateRequest>) -> Answer<rpc::CreateResponse> {
        let peer = request.remote_addr();
        let request = request.into_inner();
        let mut seen = self.seen("create", &request.urn, request.properties.as_ref(), peer);
        (seen.timeout, seen.preview) = (request.timeout, request.preview);
        let (name, inputs) = (seen.name.clone(), seen.inputs.clone());
        self.0.note(seen);
        if request.preview {
            let mut planned = inputs;
            planned.insert("address".to_owned(), Value::Unknown);
            let properties = Some(to_struct(&planned));
            return Ok(Response::new(rpc::CreateResponse { properties, ..Default::default() }));
        }
        self.make(&name, &inputs).await?;
        let (id, outputs) = (self.0.id_for(&name, &inputs), outputs(&inputs, &name));
        self.keep(&id, &inputs);
        if let Some(why) = text(&inputs, "partial") {
            return Err(partial(&id, &inputs, &outputs, why));
        }
        let properties = Some(to_struct(&outputs));
        Ok(Response::new(rpc::CreateResponse { id, properties, refresh_before_update: false }))
    }

    async fn read(&self, request: Request<rpc::ReadRequest>) -> Answer<rpc::ReadResponse> {
        let peer = request.remote_addr();
        let request = request.into_inner();
        let seen = self.seen("read", &request.urn, request.properties.as_ref(), peer);
        let name = seen.name.clone();
        self.0.note(Seen { id: request.id.clone(), ..seen });
        let Some(inputs) = self.0.things.lock().unwrap().get(&request.id).cloned() else {
            return Ok(Response::new(rpc::ReadResponse::default()));
        };
        Ok(Response::new(rpc::ReadResponse {
            id: request.id,
            properties: Some(to_struct(&outputs(&inputs, &name))),
            inputs: Some(to_struct(&inputs)),
            refresh_before_update: false,
        }))
    }

    async fn update(&self, request: Request<rpc::UpdateRequest>) -> Answer<rpc::UpdateResponse> {
        let peer = request.remote_addr();
        let request = request.into_inner();
        let seen = self.seen("update", &request.urn, request.news.as_ref(), peer);
        let (name, inputs) = (seen.name.clone(), seen.inputs.clone());
        let (id, timeout, preview) = (request.id.clone(), request.timeout, request.preview);
        self.0.note(Seen { id, timeout, preview, ..seen });
        let outputs = outputs(&inputs, &name);
        if !request.preview {
            self.make(&name, &inputs).await?;
            self.keep(&request.id, &inputs);
            if let Some(why) = text(&inputs, "partial") {
                return Err(partial(&request.id, &inputs, &outputs, why));
            }
        }
        let properties = Some(to_struct(&outputs));
        Ok(Response::new(rpc::UpdateResponse { properties, refresh_before_update: false }))
    }

    async fn delete(&self, request: Request<rpc::DeleteRequest>) -> Answer<()> {
        let peer = request.remote_addr();
        let request = request.into_inner();
        let seen = self.seen("delete", &request.urn, request.old_inputs.as_ref(), peer);
        let refusal = text(&seen.inputs, "failDelete");
        self.0.note(Seen { id: request.id.clone(), timeout: request.timeout, ..seen });
        if let Some(why) = refusal {
            return Err(Status::failed_precondition(why));
        }
        self.0.things.lock().unwrap().remove(&request.id);
        Ok(Response::new(()))
    }

    async fn invoke(&self, request: Request<rpc::InvokeRequest>) -> Answer<rpc::InvokeResponse> {
        let peer = request.remote_addr();
        let request = request.into_inner();
        let seen = self.seen("invoke", &request.tok, request.args.as_ref(), peer);
        let args = seen.inputs.clone();
        self.0.note(Seen { name: request.tok.clone(), ..seen });
        let name = text(&args, "name").unwrap_or_default();
        let result = match request.tok.as_str() {
            "cloud:test:echo" => args,
            _ if name == "broken" => return Err(Status::failed_precondition("the lookup is broken")),
            _ if name == "away" => return Err(Status::unavailable("the cloud is out for lunch")),
            _ if name == "missing" => {
                let failure =
                    rpc::CheckFailure { property: "name".to_owned(), reason: "no such name".to_owned() };
                return Ok(Response::new(rpc::InvokeResponse { r#return: None, failures: vec![failure] }));
            }
            _ => Properties::from([("address".to_owned(), format!("address-of-{name}").into())]),
        };
        Ok(Response::new(rpc::InvokeResponse { r#return: Some(to_struct(&result)), failures: Vec::new() }))
    }

    async fn call(&self, request: Request<rpc::CallRequest>) -> Answer<rpc::CallResponse> {
        let peer = request.remote_addr();
        let request = request.into_inner();
        let seen = self.seen("call", &request.tok, request.args.as_ref(), peer);
        let args = seen.inputs.clone();
        let traced = !request.stack_trace_handle.is_empty();
        self.0.note(Seen { name: request.tok.clone(), traced, ..seen });
        let to = text(&args, "to").unwrap_or_default();
        if to == "nobody" {
            let failure =
                rpc::CheckFailure { property: "to".to_owned(), reason: "nobody is there".to_owned() };
            return Ok(Response::new(rpc::CallResponse { failures: vec![failure], ..Default::default() }));
        }
        let result = Properties::from([("text".to_owned(), format!("hello {to}").into())]);
        Ok(Response::new(rpc::CallResponse { r#return: Some(to_struct(&result)), ..Default::default() }))
    }

    async fn construct(&self, request: Request<rpc::ConstructRequest>) -> Answer<rpc::ConstructResponse> {
        let peer = request.remote_addr();
        let request = request.into_inner();
        self.0.note(self.seen("construct", &request.name, request.inputs.as_ref(), peer));
        construct::group(request).await.map(Response::new)
    }

    async fn cancel(&self, _: Request<()>) -> Answer<()> {
        // Sent at every normal end too.
        Ok(Response::new(()))
    }

    async fn get_mapping(&self, _: Request<rpc::GetMappingRequest>) -> Answer<rpc::GetMappingResponse> {
        Err(Status::unimplemented("no mappings"))
    }

    async fn get_mappings(&self, _: Request<rpc::GetMappingsRequest>) -> Answer<rpc::GetMappingsResponse> {
        Err(Status::unimplemented("no mappings"))
    }
}
