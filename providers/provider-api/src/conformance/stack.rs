//! A declaration driven without an engine: creates in order, deletes in reverse, and remembers ids.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::{InstallationId, RuntimeId};
use serde_json::Value;

use crate::{
    CreateRequest, Created, Declaration, Declared, DeleteRequest, DiffRequest, Expr, Properties, Provider,
    ReadRequest, ReadState, Resource, Result, RuntimeRef, RuntimeSpec, UpdateRequest,
};

/// One runtime's declaration, or that of what all of them share, and what was made of it.
#[derive(Clone)]
pub struct Stack {
    /// The module that declares and makes it.
    pub provider: Arc<dyn Provider>,
    /// What is declared now.
    pub spec: RuntimeSpec,
    /// Its resources.
    pub declared: Declared,
    /// Which fence all calls have.
    pub fence: Option<u64>,
    /// By logical name; the inputs as they were sent, and what came back.
    pub state: BTreeMap<String, (Properties, Created)>,
}

impl Stack {
    /// Nothing is made yet.
    pub fn new(provider: Arc<dyn Provider>, spec: RuntimeSpec) -> Self {
        let declared = provider.declare(&spec).expect("the spec is declarable");
        Self { provider, spec, declared, fence: None, state: BTreeMap::new() }
    }

    /// What all runtimes of an installation share.
    pub fn shared(provider: Arc<dyn Provider>, installation: &InstallationId) -> Self {
        let declared = provider.shared(installation).expect("what is shared is declarable");
        let runtime_id = RuntimeId::shared_by(&provider.describe().name);
        let spec = RuntimeSpec::new(runtime_id, installation.clone(), String::new());
        Self { provider, spec, declared, fence: None, state: BTreeMap::new() }
    }

    /// What lifecycle calls name.
    pub fn runtime(&self) -> RuntimeRef {
        let (runtime, installation) = (self.spec.runtime_id.clone(), self.spec.installation.clone());
        RuntimeRef::new(runtime, installation).under(self.fence)
    }

    /// The same stack with what is known of it, in an operation with this fence.
    pub fn under(&self, fence: Option<u64>) -> Self {
        Self { fence, ..self.clone() }
    }

    /// Logical names in the order in which they are declared, which providers keep creatable.
    pub fn names(&self) -> Vec<String> {
        self.declared.resources.iter().map(|declaration| declaration.name.clone()).collect()
    }

    /// A resource as it is declared.
    pub fn declaration(&self, name: &str) -> &Declaration {
        self.declared.resources.iter().find(|declaration| declaration.name == name).expect("a declared name")
    }

    /// What makes it.
    pub fn resource(&self, name: &str) -> Arc<dyn Resource> {
        let token = &self.declaration(name).token;
        let resource =
            self.provider.resources().into_iter().find(|resource| resource.schema().token == token);
        resource.unwrap_or_else(|| panic!("no resource serves {token}"))
    }

    /// The inputs with references replaced by what the referred resource gave.
    pub fn inputs(&self, name: &str) -> Properties {
        let declaration = self.declaration(name);
        declaration.inputs.iter().map(|(key, value)| (key.clone(), self.resolve(value))).collect()
    }

    fn resolve(&self, value: &Expr) -> Value {
        match value {
            Expr::Value(value) => value.clone(),
            Expr::Secret(inner) => self.resolve(inner),
            Expr::Output { resource, property } => {
                let (_, created) =
                    self.state.get(resource).unwrap_or_else(|| panic!("{resource} is not made yet"));
                created
                    .outputs
                    .get(property)
                    .unwrap_or_else(|| panic!("{resource} has no output {property}"))
                    .clone()
            }
            Expr::List(items) => items.iter().map(|item| self.resolve(item)).collect(),
            Expr::Object(entries) => {
                entries.iter().map(|(name, value)| (name.clone(), self.resolve(value))).collect()
            }
        }
    }

    /// From here on it is to be as this says; nothing is changed outside.
    pub fn declare(&mut self, spec: RuntimeSpec) {
        self.declared = self.provider.declare(&spec).expect("the spec is declarable");
        self.spec = spec;
    }

    /// Creates one resource, or adopts it.
    pub async fn create(&mut self, name: &str) -> Result<Created> {
        let inputs = self.inputs(name);
        let request =
            CreateRequest { urn: self.urn(name), inputs: inputs.clone(), timeout: None, fence: self.fence };
        let created = self.resource(name).create(request).await?;
        self.state.insert(name.to_owned(), (inputs, created.clone()));
        Ok(created)
    }

    /// Creates everything, up to the first error.
    pub async fn try_up(&mut self) -> Result<()> {
        for name in self.names() {
            self.create(&name).await?;
        }
        Ok(())
    }

    /// Creates everything.
    pub async fn up(&mut self) {
        self.try_up().await.unwrap_or_else(|error| panic!("{}: {error}", error.code));
    }

    /// Deletes one resource, and keeps the memory of it.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let (inputs, created) = self.state.get(name).expect("a resource that was made");
        let request = DeleteRequest {
            id: created.id.clone(),
            urn: self.urn(name),
            inputs: inputs.clone(),
            outputs: created.outputs.clone(),
            fence: self.fence,
        };
        self.resource(name).delete(request).await
    }

    /// Deletes one resource as somebody does who knows its runtime and nothing of what was made.
    pub async fn delete_blind(&self, name: &str) -> Result<()> {
        let request = DeleteRequest::blind(self.urn(name), &self.declaration(name).inputs, self.fence);
        self.resource(name).delete(request).await
    }

    /// Deletes what was made, in reverse, and keeps the memory of it.
    pub async fn down(&self) {
        for name in self.names().iter().rev().filter(|name| self.state.contains_key(*name)) {
            self.delete(name).await.unwrap_or_else(|error| panic!("delete {name}: {error}"));
        }
    }

    /// A read as the engine's refresh does it.
    pub async fn read(&self, name: &str) -> Result<Option<ReadState>> {
        let (inputs, created) = self.state.get(name).expect("a resource that was made");
        let request =
            ReadRequest { id: created.id.clone(), inputs: inputs.clone(), outputs: created.outputs.clone() };
        self.resource(name).read(request).await
    }

    /// A read that knows nothing but the id.
    pub async fn import(&self, name: &str) -> Result<Option<ReadState>> {
        let (_, created) = self.state.get(name).expect("a resource that was made");
        let request =
            ReadRequest { id: created.id.clone(), inputs: Properties::new(), outputs: Properties::new() };
        self.resource(name).read(request).await
    }

    /// Moves to another spec as the engine would: in place where `diff` allows it, else by replacement.
    pub async fn change_to(&mut self, spec: RuntimeSpec) {
        self.declare(spec);
        let mut replaced = Vec::new();
        for name in self.names() {
            let (old_inputs, old) = self.state.get(&name).expect("a resource that was made").clone();
            let resource = self.resource(&name);
            let diff = resource.diff(&DiffRequest {
                id: old.id.clone(),
                old_inputs: old_inputs.clone(),
                old_outputs: old.outputs.clone(),
                new_inputs: self.inputs(&name),
            });
            if diff.changed.is_empty() {
                continue;
            }
            if diff.replaces.is_empty() {
                self.update(&name).await.unwrap_or_else(|error| panic!("update {name}: {error}"));
                continue;
            }
            let delete = DeleteRequest {
                id: old.id,
                urn: self.urn(&name),
                inputs: old_inputs,
                outputs: old.outputs,
                fence: self.fence,
            };
            if self.declaration(&name).delete_before_replace {
                resource.delete(delete).await.unwrap_or_else(|error| panic!("delete {name}: {error}"));
            } else {
                replaced.push((resource, delete));
            }
            self.create(&name).await.unwrap_or_else(|error| panic!("replace {name}: {error}"));
        }
        for (resource, delete) in replaced.into_iter().rev() {
            let name = delete.urn.clone();
            resource.delete(delete).await.unwrap_or_else(|error| panic!("delete the old {name}: {error}"));
        }
    }

    /// Sends the update from what the state remembers to what is declared now.
    pub async fn update(&mut self, name: &str) -> Result<()> {
        let (old_inputs, created) = self.state.get(name).expect("a resource that was made").clone();
        let new_inputs = self.inputs(name);
        let request = UpdateRequest {
            id: created.id.clone(),
            urn: self.urn(name),
            old_inputs,
            old_outputs: created.outputs,
            new_inputs: new_inputs.clone(),
            fence: self.fence,
        };
        let outputs = self.resource(name).update(request).await?;
        self.state.insert(name.to_owned(), (new_inputs, Created { id: created.id, outputs }));
        Ok(())
    }

    fn urn(&self, name: &str) -> String {
        format!("urn:pulumi:{}::pilot::{}::{name}", self.spec.runtime_id, self.declaration(name).token)
    }
}
