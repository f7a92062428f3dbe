//! The remote component `cloud:test:Group`: the provider itself registers what the component is made of.

use std::collections::{BTreeMap, HashMap};

use super::rpc::resource_monitor_client::ResourceMonitorClient;
use pulumi_auto::Value;
use pulumi_auto::value::{from_struct, to_struct};
use tonic::Status;

use super::rpc;

pub async fn group(request: rpc::ConstructRequest) -> Result<rpc::ConstructResponse, Status> {
    let endpoint = format!("http://{}", request.monitor_endpoint);
    let mut monitor = ResourceMonitorClient::connect(endpoint).await.map_err(unavailable)?;
    let component = rpc::RegisterResourceRequest {
        r#type: request.r#type,
        name: request.name.clone(),
        parent: request.parent,
        object: request.inputs.clone(),
        accept_secrets: true,
        accept_resources: true,
        ..Default::default()
    };
    let urn = monitor.register_resource(component).await?.into_inner().urn;
    let label = from_struct(request.inputs.as_ref()).remove("label").unwrap_or(Value::Null);
    let member = rpc::RegisterResourceRequest {
        r#type: "cloud:test:Thing".to_owned(),
        name: format!("{}-member", request.name),
        parent: urn.clone(),
        custom: true,
        object: Some(to_struct(&BTreeMap::from([("label".to_owned(), label)]))),
        provider: request.providers.get("cloud").cloned().unwrap_or_default(),
        accept_secrets: true,
        accept_resources: true,
        supports_partial_values: true,
        ..Default::default()
    };
    let member = monitor.register_resource(member).await?.into_inner();
    let address = from_struct(member.object.as_ref()).remove("address").unwrap_or(Value::Unknown);
    let state = Some(to_struct(&BTreeMap::from([("memberAddress".to_owned(), address)])));
    let outputs = rpc::RegisterResourceOutputsRequest { urn: urn.clone(), outputs: state.clone() };
    monitor.register_resource_outputs(outputs).await?;
    let depends = rpc::construct_response::PropertyDependencies { urns: vec![member.urn] };
    let state_dependencies = HashMap::from([("memberAddress".to_owned(), depends)]);
    Ok(rpc::ConstructResponse { urn, state, state_dependencies })
}

fn unavailable(error: tonic::transport::Error) -> Status {
    Status::unavailable(error.to_string())
}
