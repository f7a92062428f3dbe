//! Registering resources, and the outputs of components.

use std::collections::{BTreeMap, HashMap};

use super::Context;
use super::connection::refused;
use super::options::ResourceOptions;
use super::request::Kind;
use super::resource::{Resource, ResourceArgs, providers_of};
use crate::program_error::ProgramError;
use crate::value::Input;
use crate::value::Outputs;
use crate::value::{self, Value};
use crate::wire as rpc;

impl Context {
    /// Registers a custom resource and waits until the engine has applied it (Pulumi: *custom resource*).
    ///
    /// [`ProgramError::Ended`] when the engine ends the whole run, as it does when a resource fails;
    /// [`ProgramError::ResourceFailed`] when it goes on after failures. What needs a resource that failed is
    /// skipped then: its outputs are unknown, or with an older engine it is [`ProgramError::ResourceSkipped`].
    pub async fn register(&self, args: ResourceArgs) -> Result<Resource, ProgramError> {
        self.send(Kind::Custom, args).await
    }

    /// Registers a group of resources that this program makes itself (Pulumi: *component resource*). They
    /// name it as their parent; when all of them exist, [`Context::register_outputs`] completes it.
    pub async fn component(
        &self,
        resource_type: &str,
        name: &str,
        options: ResourceOptions,
        inputs: BTreeMap<String, Input>,
    ) -> Result<Resource, ProgramError> {
        let (resource_type, name) = (resource_type.to_owned(), name.to_owned());
        let component =
            self.send(Kind::Component, ResourceArgs { resource_type, name, inputs, options }).await?;
        self.inner.family.add_component(&component.urn);
        Ok(component)
    }

    /// Registers a group of resources that a provider makes (Pulumi: *remote component*, multi-language
    /// component) and waits for its outputs.
    pub async fn remote_component(&self, args: ResourceArgs) -> Result<Resource, ProgramError> {
        self.send(Kind::Remote, args).await
    }

    /// Completes a component that this program has made (Pulumi: `registerOutputs`). A second time is
    /// [`ProgramError::OutputsRegistered`].
    pub async fn register_outputs(&self, component: &Resource, outputs: Outputs) -> Result<(), ProgramError> {
        let _underway = self.inner.requests.begin();
        self.outputs(&component.urn, outputs).await
    }

    pub(super) async fn outputs(&self, urn: &str, outputs: Outputs) -> Result<(), ProgramError> {
        // The engine does not take output values here.
        let plain = outputs.into_iter().map(|(name, input)| (name, input.value.without_dependencies()));
        let plain = plain.collect();
        self.inner.features.check_all(&plain)?;
        let first = self.inner.with_outputs.lock().is_ok_and(|mut urns| urns.insert(urn.to_owned()));
        if !first {
            return Err(ProgramError::OutputsRegistered { urn: urn.to_owned() });
        }
        let request = rpc::RegisterResourceOutputsRequest {
            urn: urn.to_owned(),
            outputs: Some(value::struct_of(&plain)),
        };
        self.inner.monitor.clone().register_resource_outputs(request).await.map_err(refused)?;
        Ok(())
    }

    async fn send(&self, kind: Kind, args: ResourceArgs) -> Result<Resource, ProgramError> {
        let _underway = self.inner.requests.begin();
        let providers = providers_of(&args.options);
        let transforms = self.callbacks_of(&args.options.transforms).await?;
        let request = self.inner.request().register(kind, args, transforms)?;
        let (parent, described) = (request.parent.clone(), format!("{}::{}", request.r#type, request.name));
        let response = self.inner.monitor.clone().register_resource(request).await.map_err(refused)?;
        let response = response.into_inner();
        let urn = if response.urn.is_empty() { described } else { response.urn };
        let urn = applied(response.result, urn)?;
        self.inner.family.add_child(&parent, &urn);
        let id = if value::is_unknown(&response.id) { String::new() } else { response.id };
        let custom = kind == Kind::Custom;
        if let (true, true, Ok(mut unmade)) = (custom, id.is_empty(), self.inner.unmade.lock()) {
            unmade.insert(urn.clone());
        }
        let output_dependencies = match kind {
            Kind::Remote => response.property_dependencies.into_iter(),
            Kind::Custom | Kind::Component => HashMap::new().into_iter(),
        };
        Ok(Resource {
            // Without an id it was not made: a targeted operation has left it out. With one it may have been
            // skipped, and what the engine does not tell is then as it will be.
            unknown: self.is_preview() || (custom && (response.unknown || id.is_empty())),
            urn,
            id,
            outputs: value::properties_of(response.object.as_ref()),
            output_dependencies: output_dependencies
                .map(|(name, dependencies)| (name, dependencies.urns.into_iter().collect()))
                .collect(),
            providers,
            custom,
        })
    }
}

/// The URN again, unless the engine says that the resource is not there to go on with.
pub(super) fn applied(result: i32, urn: String) -> Result<String, ProgramError> {
    match rpc::Result::try_from(result) {
        Ok(rpc::Result::Fail) => Err(ProgramError::ResourceFailed { urn }),
        Ok(rpc::Result::Skip) => Err(ProgramError::ResourceSkipped { urn }),
        // A result that is new to us comes with a resource all the same.
        Ok(rpc::Result::Success) | Err(_) => Ok(urn),
    }
}

/// The unknown result of something that cannot be asked for in a preview.
pub(super) fn has_unknowns(inputs: &BTreeMap<String, Input>) -> bool {
    inputs.values().any(|input| Value::has_unknowns(&input.value))
}
