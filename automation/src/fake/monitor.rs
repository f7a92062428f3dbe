//! The engine's side of a program: registers resources in memory, as the real monitor would.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tonic::{Request, Response, Status};

use super::run::{Run, urn};
use super::state::Resource;
use super::{FakeEngine, StepScript};
use crate::event::{DiagnosticEvent, EventKind};
use crate::value::{self, Value};
use crate::wire as rpc;
use crate::wire::STACK_TYPE;
use rpc::ResourceMonitorFeature as Feature;
use rpc::engine_server::Engine as EngineService;
use rpc::resource_monitor_server::ResourceMonitor;

/// Serves one run of a program.
#[derive(Clone)]
pub(super) struct Monitor {
    pub fake: FakeEngine,
    pub run: Arc<Mutex<Run>>,
}

type Reply<T> = Result<Response<T>, Status>;

impl Monitor {
    pub fn with<T>(&self, act: impl FnOnce(&mut Run) -> T) -> T {
        act(&mut self.run.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does what is scripted for the step; the words of a failure.
    pub async fn play(&self, resource: &Resource, op: &str) -> Result<(), String> {
        match self.fake.take_step(resource.name()) {
            None => Ok(()),
            Some(StepScript::Delay(time)) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Some(StepScript::Hold(hold)) => {
                hold.reached.notify_one();
                hold.released.notified().await;
                Ok(())
            }
            Some(StepScript::Fail { message, outcome_unknown }) => {
                self.with(|run| run.failed(resource, op, &message, outcome_unknown));
                Err(message)
            }
        }
    }
}

#[tonic::async_trait]
impl ResourceMonitor for Monitor {
    async fn get_deployment_info(&self, _: Request<()>) -> Reply<rpc::DeploymentInfo> {
        let features =
            [Feature::Secrets, Feature::ResourceReferences, Feature::OutputValues, Feature::ByteString];
        let supported_features = features.map(i32::from).to_vec();
        Ok(Response::new(rpc::DeploymentInfo { supported_features }))
    }

    async fn register_resource(
        &self,
        request: Request<rpc::RegisterResourceRequest>,
    ) -> Reply<rpc::RegisterResourceResponse> {
        let request = request.into_inner();
        let inputs = plain(value::properties_of(request.object.as_ref()));
        if !request.transforms.is_empty() {
            return Err(no_callbacks());
        }
        let resource = self.with(|run| Resource {
            urn: urn(&run.stack, &run.project, &request.parent, &request.r#type, &request.name),
            kind: request.r#type.clone(),
            id: String::new(),
            custom: request.custom,
            protect: request.protect.unwrap_or_default(),
            parent: request.parent.clone(),
            outputs: inputs.clone(),
            inputs,
            dependencies: request.dependencies.clone(),
        });
        let op = self.with(|run| run.begin(&resource))?;
        if op != "same" {
            self.play(&resource, op)
                .await
                .map_err(|_| Status::unavailable("the resource monitor is closed"))?;
        }
        let mut done = self.with(|run| run.done(resource, op));
        for name in &request.additional_secret_outputs {
            if let Some(value) = done.outputs.get_mut(name) {
                *value = Value::secret(std::mem::replace(value, Value::Null));
            }
        }
        Ok(Response::new(rpc::RegisterResourceResponse {
            urn: done.urn,
            id: done.id,
            object: Some(value::struct_of(&done.outputs)),
            ..Default::default()
        }))
    }

    async fn register_resource_outputs(
        &self,
        request: Request<rpc::RegisterResourceOutputsRequest>,
    ) -> Reply<()> {
        let request = request.into_inner();
        let outputs = value::properties_of(request.outputs.as_ref());
        self.with(|run| run.outputs(&request.urn, outputs))
            .ok_or_else(|| Status::invalid_argument(format!("no resource {} was registered", request.urn)))?;
        Ok(Response::new(()))
    }

    async fn read_resource(
        &self,
        request: Request<rpc::ReadResourceRequest>,
    ) -> Reply<rpc::ReadResourceResponse> {
        let request = request.into_inner();
        let mut properties = value::properties_of(request.properties.as_ref());
        if request.r#type == "pulumi:pulumi:StackReference" {
            let name = request.id.rsplit('/').next().unwrap_or_default().to_owned();
            let project = self.with(|run| run.project.clone());
            let inner = self.fake.lock();
            let state = inner.stacks.get(&(project, name));
            let state = state.ok_or_else(|| Status::unknown(format!("unknown stack {:?}", request.id)))?;
            let outputs = state.outputs();
            let secret = outputs.iter().filter(|(_, value)| value.has_secrets());
            let names = secret.map(|(name, _)| Value::from(name.as_str())).collect();
            properties.insert("secretOutputNames".to_owned(), Value::List(names));
            properties.insert("outputs".to_owned(), Value::Object(outputs));
        }
        let urn =
            self.with(|run| urn(&run.stack, &run.project, &request.parent, &request.r#type, &request.name));
        let properties = Some(value::struct_of(&properties));
        Ok(Response::new(rpc::ReadResourceResponse { urn, id: request.id, properties, ..Default::default() }))
    }

    async fn signal_and_wait_for_shutdown(&self, _: Request<()>) -> Reply<()> {
        Ok(Response::new(()))
    }

    async fn register_package(
        &self,
        request: Request<rpc::RegisterPackageRequest>,
    ) -> Reply<rpc::RegisterPackageResponse> {
        let request = request.into_inner();
        Ok(Response::new(rpc::RegisterPackageResponse {
            r#ref: format!("{}@{}", request.name, request.version),
        }))
    }

    async fn invoke(&self, _: Request<rpc::ResourceInvokeRequest>) -> Reply<rpc::ResourceInvokeResponse> {
        Err(no_providers())
    }

    async fn call(&self, _: Request<rpc::ResourceCallRequest>) -> Reply<rpc::CallResponse> {
        Err(no_providers())
    }

    async fn register_stack_transform(&self, _: Request<rpc::Callback>) -> Reply<()> {
        Err(no_callbacks())
    }

    async fn register_stack_invoke_transform(&self, _: Request<rpc::Callback>) -> Reply<()> {
        Err(no_callbacks())
    }

    async fn register_resource_hook(&self, _: Request<rpc::RegisterResourceHookRequest>) -> Reply<()> {
        Err(no_callbacks())
    }

    async fn register_error_hook(&self, _: Request<rpc::RegisterErrorHookRequest>) -> Reply<()> {
        Err(no_callbacks())
    }
}

fn no_providers() -> Status {
    Status::unimplemented("the fake engine has no providers to ask")
}

fn no_callbacks() -> Status {
    Status::unimplemented("the fake engine calls no program back")
}

/// The engine keeps the values of outputs and not where they came from.
fn plain(properties: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let values = properties.into_iter().map(|(name, value)| (name, value.without_dependencies()));
    values.filter(|(_, value)| *value != Value::Null).collect()
}

#[tonic::async_trait]
impl EngineService for Monitor {
    async fn log(&self, request: Request<rpc::LogRequest>) -> Reply<()> {
        let request = request.into_inner();
        let severity =
            ["debug", "info", "warning", "error"].get(request.severity as usize).unwrap_or(&"info");
        let event = DiagnosticEvent {
            urn: request.urn,
            message: request.message,
            severity: (*severity).to_owned(),
            ephemeral: request.ephemeral,
            ..DiagnosticEvent::default()
        };
        self.with(|run| run.emit(EventKind::Diagnostic(event)));
        Ok(Response::new(()))
    }

    async fn get_root_resource(
        &self,
        _: Request<rpc::GetRootResourceRequest>,
    ) -> Reply<rpc::GetRootResourceResponse> {
        let urn = self.with(|run| {
            run.made.iter().find(|resource| resource.kind == STACK_TYPE).map(|root| root.urn.clone())
        });
        Ok(Response::new(rpc::GetRootResourceResponse { urn: urn.unwrap_or_default() }))
    }

    async fn set_root_resource(
        &self,
        _: Request<rpc::SetRootResourceRequest>,
    ) -> Reply<rpc::SetRootResourceResponse> {
        Ok(Response::new(rpc::SetRootResourceResponse {}))
    }

    async fn start_debugging(&self, _: Request<rpc::StartDebuggingRequest>) -> Reply<()> {
        Ok(Response::new(()))
    }

    async fn require_pulumi_version(
        &self,
        _: Request<rpc::RequirePulumiVersionRequest>,
    ) -> Reply<rpc::RequirePulumiVersionResponse> {
        Ok(Response::new(rpc::RequirePulumiVersionResponse {}))
    }
}
