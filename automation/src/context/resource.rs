//! Resources as a program declares them and as the engine answers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::options::{ProviderReference, ResourceOptions};
use super::parent::Parent;
use crate::value::Input;
use crate::value::{ResourceReference, Value};

/// The type that every explicit provider's type begins with.
const PROVIDER_TYPE: &str = "pulumi:providers:";

/// One resource to register. Inputs carry their own dependencies; the options may add more.
#[derive(Debug, Clone, Default)]
pub struct ResourceArgs {
    /// `package:module:Type`
    pub resource_type: String,
    /// Unique for its type and parent in the stack.
    pub name: String,
    /// Its properties by name, as the provider's schema has them.
    pub inputs: BTreeMap<String, Input>,
    /// How it is to be treated.
    pub options: ResourceOptions,
}

/// A resource that the engine has applied, or planned in a preview.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Says which resource it is, for as long as it exists.
    pub urn: String,
    /// What the provider calls it. Empty for a component, and in a preview of a create.
    pub id: String,
    pub(super) outputs: BTreeMap<String, Value>,
    /// By property, where the engine says what an output comes from; else it comes from the resource.
    pub(super) output_dependencies: HashMap<String, BTreeSet<String>>,
    /// By package: what manages the resources in it.
    pub(super) providers: BTreeMap<String, String>,
    /// True when an output that is missing may still come.
    pub(super) unknown: bool,
    pub(super) custom: bool,
}

impl From<&Resource> for Parent {
    fn from(resource: &Resource) -> Self {
        Self { urn: resource.urn.clone(), providers: resource.providers.clone() }
    }
}

impl From<Resource> for Parent {
    fn from(resource: Resource) -> Self {
        Self { urn: resource.urn, providers: resource.providers }
    }
}

impl Resource {
    /// An output, with this resource as its dependency. In a preview a missing output is unknown.
    pub fn output(&self, property: &str) -> Input {
        let missing = if self.unknown { Value::Unknown } else { Value::Null };
        let value = self.outputs.get(property).cloned().unwrap_or(missing);
        let own = || BTreeSet::from([self.urn.clone()]);
        let dependencies = self.output_dependencies.get(property).cloned().unwrap_or_else(own);
        Input { value, dependencies }
    }

    /// All outputs the engine answered with.
    pub fn outputs(&self) -> &BTreeMap<String, Value> {
        &self.outputs
    }

    /// The id as an input of another resource; unknown in a preview of a create.
    pub fn id(&self) -> Input {
        let value = if self.id.is_empty() { Value::Unknown } else { self.id.as_str().into() };
        Input { value, dependencies: BTreeSet::from([self.urn.clone()]) }
    }

    /// The resource's name, the last part of its URN.
    pub fn name(&self) -> &str {
        crate::event::name_in(&self.urn)
    }

    /// `package:module:Type`, without the types of what it is a part of.
    pub fn resource_type(&self) -> &str {
        let types = self.urn.split("::").nth(2).unwrap_or_default();
        types.rsplit('$').next().unwrap_or_default()
    }

    /// The resource itself as an input of another (Pulumi: *resource reference*).
    pub fn reference(&self) -> Input {
        let id = self.custom.then(|| Box::new(self.id().value));
        let reference = ResourceReference {
            urn: self.urn.clone(),
            id,
            name: self.name().to_owned(),
            resource_type: self.resource_type().to_owned(),
            package_version: String::new(),
        };
        Input { value: reference.into(), dependencies: BTreeSet::from([self.urn.clone()]) }
    }

    /// For [`ResourceOptions::provider`]: a resource of type `pulumi:providers:PACKAGE`. None of any
    /// other type.
    pub fn as_provider(&self) -> Option<ProviderReference> {
        let package = self.resource_type().strip_prefix(PROVIDER_TYPE)?;
        Some(ProviderReference::new(package, &self.urn, &self.id))
    }
}

/// The package of a type or function token.
pub(super) fn package_of(token: &str) -> &str {
    token.split(':').next().unwrap_or_default()
}

/// What manages the parts of a resource: as its parent's, changed by its own options.
pub(super) fn providers_of(options: &ResourceOptions) -> BTreeMap<String, String> {
    let mut providers = options.parent.as_ref().map(|parent| parent.providers.clone()).unwrap_or_default();
    let own = options.providers.iter().chain(&options.provider);
    providers.extend(own.map(|provider| (provider.package().to_owned(), provider.reference().to_owned())));
    providers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(resource_type: &str, id: &str) -> Resource {
        Resource {
            urn: format!("urn:pulumi:s::p::my:Parent${resource_type}::r"),
            id: id.to_owned(),
            outputs: BTreeMap::from([("known".to_owned(), "v".into())]),
            output_dependencies: HashMap::new(),
            providers: BTreeMap::new(),
            unknown: id.is_empty(),
            custom: true,
        }
    }

    #[test]
    fn a_missing_output_is_unknown_before_the_resource_exists_and_null_after() {
        assert_eq!(resource("cloud:test:Thing", "").output("later").value, Value::Unknown);
        assert_eq!(resource("cloud:test:Thing", "r-1").output("later").value, Value::Null);
        let known = resource("cloud:test:Thing", "r-1").output("known");
        assert_eq!(known.dependencies.len(), 1);
        assert_eq!(known.value, "v".into());
    }

    #[test]
    fn only_a_provider_resource_is_a_provider() {
        assert!(resource("cloud:test:Thing", "r-1").as_provider().is_none());
        let provider = resource("pulumi:providers:cloud", "7").as_provider().unwrap();
        assert_eq!(provider.package(), "cloud");
    }

    #[test]
    fn a_part_has_its_parents_providers_unless_its_own_options_say_otherwise() {
        let mut parent = resource("my:Parent", "");
        parent.providers =
            BTreeMap::from([("a".to_owned(), "old".to_owned()), ("b".to_owned(), "b".to_owned())]);
        let own = resource("pulumi:providers:a", "1").as_provider().unwrap();
        let expected = own.reference().to_owned();
        let options = ResourceOptions {
            parent: Some(parent.into()),
            provider: Some(own),
            ..ResourceOptions::default()
        };
        let providers = providers_of(&options);
        assert_eq!((providers["a"].as_str(), providers["b"].as_str()), (expected.as_str(), "b"));
    }
}
