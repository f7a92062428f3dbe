//! One test's own service with its volume, driven as the engine would.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::process::Command;
use std::sync::Arc;

use provider_api::{
    CreateRequest, Created, DeleteRequest, Diff, DiffRequest, Properties, Provider, ReadRequest, ReadState,
    Resource, Result, UpdateRequest,
};
use provider_docker::{DockerConfig, DockerProvider};
use serde_json::{Value, json};

use provider_docker::conformance::{IMAGE, World};

pub struct Service {
    pub world: World,
    pub name: String,
    provider: Arc<dyn Provider>,
}

pub fn object(value: Value) -> Properties {
    value.as_object().cloned().unwrap()
}

impl Service {
    pub async fn new() -> Self {
        let world = World::new().await;
        Self { name: format!("pilot-service-{}", world.installation), provider: world.provider(), world }
    }

    /// The same service through another connection, for what happens on the way.
    pub async fn through(host: String) -> Self {
        let mut service = Self::new().await;
        let config = DockerConfig { host: Some(host), ..service.world.config() };
        service.provider = Arc::new(DockerProvider::new(config));
        service
    }

    pub fn resource(&self, kind: &str) -> Arc<dyn Resource> {
        let token = format!("pilot:docker:{kind}");
        let mut resources = self.provider.resources().into_iter();
        resources.find(|resource| resource.schema().token == token).unwrap()
    }

    /// What the engine would pass, with these inputs over the usual ones.
    pub fn inputs(&self, more: Value) -> Properties {
        let mut inputs = object(json!({
            "name": self.name, "owner": self.name, "image": IMAGE, "command": ["nothing"],
            "hostNetwork": true, "volumes": {self.name.as_str(): "/home/pilot"},
        }));
        inputs.extend(object(more));
        inputs
    }

    pub fn volume(&self) -> Properties {
        object(json!({"name": self.name, "owner": self.name}))
    }

    pub async fn create(&self, kind: &str, inputs: &Properties) -> Result<Created> {
        let resource = self.resource(kind);
        assert_eq!(resource.check(inputs), []);
        resource
            .create(CreateRequest { urn: "u".to_owned(), inputs: inputs.clone(), timeout: None, fence: None })
            .await
    }

    /// Volume and service of these inputs.
    pub async fn up(&self, more: Value) -> Created {
        self.create("ServiceVolume", &self.volume()).await.unwrap();
        self.create("Service", &self.inputs(more)).await.unwrap()
    }

    pub async fn read(&self, kind: &str, inputs: Properties) -> Result<Option<ReadState>> {
        let request = ReadRequest { id: self.name.clone(), inputs, outputs: Properties::new() };
        self.resource(kind).read(request).await
    }

    pub fn diff(&self, old: &ReadState, new: &Properties) -> Diff {
        self.resource("Service").diff(&DiffRequest {
            id: old.id.clone(),
            old_inputs: old.inputs.clone(),
            old_outputs: old.outputs.clone(),
            new_inputs: new.clone(),
        })
    }

    pub async fn update(&self, new: &Properties) -> Result<Properties> {
        let request = UpdateRequest {
            id: self.name.clone(),
            urn: "u".to_owned(),
            old_inputs: self.inputs(json!({})),
            old_outputs: Properties::new(),
            new_inputs: new.clone(),
            fence: None,
        };
        self.resource("Service").update(request).await
    }

    pub async fn delete(&self, kind: &str, inputs: Properties) -> Result<()> {
        let outputs = inputs.clone();
        let request =
            DeleteRequest { id: self.name.clone(), urn: "u".to_owned(), inputs, outputs, fence: None };
        self.resource(kind).delete(request).await
    }

    /// What Docker itself says of the container, through its command.
    pub fn shown(&self, format: &str) -> Option<String> {
        docker(&["container", "inspect", "--format", format, &self.name])
    }

    pub fn id(&self) -> String {
        self.shown("{{.Id}}").unwrap()
    }

    pub fn exec(&self, script: &str) -> String {
        docker(&["exec", &self.name, "sh", "-c", script]).unwrap()
    }
}

/// What the command wrote, when it succeeds.
pub fn docker(arguments: &[&str]) -> Option<String> {
    let output = Command::new("docker").args(arguments).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Drop for Service {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.name]);
        docker(&["volume", "rm", &self.name]);
    }
}
