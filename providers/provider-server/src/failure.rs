//! A provider's error on the engine's wire. The status code decides what the engine believes happened.

use std::collections::HashMap;
use std::sync::Mutex;

use prost::Message;
use provider_api::{Outcome, Properties, ProviderError, ResourceSchema};
use pulumi_gestalt_proto::pulumi::pulumirpc as rpc;
use tonic::{Code, Status};

use crate::convert::WireProperties;

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

/// Unknown, Internal and DataLoss make the engine keep the resource as pending; any other code means
/// that nothing happened.
pub fn status(error: &ProviderError, inputs: &WireProperties, schema: &ResourceSchema) -> Status {
    let message = words(error);
    match &error.outcome {
        Outcome::NothingHappened => Status::new(Code::FailedPrecondition, message),
        Outcome::Unknown => Status::new(Code::Unknown, message),
        Outcome::Partial { id, outputs } => {
            let given = Some(inputs.write());
            init_failed(message, (id, outputs), given, inputs, schema)
        }
    }
}

/// The same for a read: what there is decides about the inputs, as for one that is well. They are among the outputs.
pub fn status_of_read(error: &ProviderError, inputs: &WireProperties, schema: &ResourceSchema) -> Status {
    let Outcome::Partial { id, outputs } = &error.outcome else { return status(error, inputs, schema) };
    let is_input = |name: &String| schema.inputs.iter().any(|input| input.name == name);
    let seen = outputs.iter().filter(|(name, _)| is_input(name));
    let seen = inputs.outputs(schema, seen.map(|(name, value)| (name.clone(), value.clone())).collect());
    init_failed(words(error), (id, outputs), Some(seen), inputs, schema)
}

fn words(error: &ProviderError) -> String {
    match &error.action {
        Some(action) => format!("{}: {} -> {action}", error.code, error.message),
        None => format!("{}: {}", error.code, error.message),
    }
}

/// What the engine keeps with the object, so that its next update goes on there.
fn init_failed(
    message: String,
    (id, outputs): (&str, &Properties),
    kept: Option<prost_types::Struct>,
    inputs: &WireProperties,
    schema: &ResourceSchema,
) -> Status {
    let detail = rpc::ErrorResourceInitFailed {
        id: id.to_owned(),
        properties: Some(inputs.outputs(schema, outputs.clone())),
        reasons: vec![message.clone()],
        inputs: kept,
        refresh_before_update: false,
    };
    let any = prost_types::Any {
        type_url: "type.googleapis.com/pulumirpc.ErrorResourceInitFailed".to_owned(),
        value: detail.encode_to_vec(),
    };
    let code = Code::FailedPrecondition;
    let details = RpcStatus { code: code as i32, message: message.clone(), details: vec![any] };
    Status::with_details(code, message, details.encode_to_vec().into())
}

/// The last error of each resource, typed, for a host that shares the process. The engine passes on
/// words only.
#[derive(Default)]
pub struct Failures(Mutex<HashMap<String, ProviderError>>);

impl Failures {
    pub fn note<T>(&self, urn: &str, result: &Result<T, ProviderError>) {
        let Ok(mut failures) = self.0.lock() else { return };
        match result {
            Ok(_) => drop(failures.remove(urn)),
            Err(error) => drop(failures.insert(urn.to_owned(), error.clone())),
        }
    }

    pub fn take(&self, urn: &str) -> Option<ProviderError> {
        self.0.lock().ok()?.remove(urn)
    }
}
