//! How a resource is to be treated, besides what it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::hooks::Hooks;
use super::package::PackageReference;
use super::parent::Parent;
use crate::program_error::ProgramError;
use crate::setters::setters;
use crate::value::{Input, UNKNOWN_ID, Value};

/// Everything that can be asked for a resource besides its inputs (Pulumi: *resource options*). The
/// default asks for nothing. URNs are those of [`crate::Resource::urn`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ResourceOptions {
    /// The resource it is a part of; the stack itself when absent. Part of the URN. (`parent`)
    pub parent: Option<Parent>,
    /// URNs of what must exist before it and be deleted after it, besides what its inputs come from. A
    /// component stands for everything in it. (`dependsOn`)
    pub depends_on: BTreeSet<String>,
    /// Refuse to delete it. Absent: as its parent. (`protect`)
    pub protect: Option<bool>,
    /// What it was before: with one of these the engine finds it in state again. (`aliases`)
    pub aliases: Vec<Alias>,
    /// Paths of inputs whose change is not applied, like `tags["owner"]`; `*` for all. (`ignoreChanges`)
    pub ignore_changes: Vec<String>,
    /// Paths of inputs whose change replaces it; `*` for all. (`replaceOnChanges`)
    pub replace_on_changes: Vec<String>,
    /// In a replacement, delete the old one first. Absent: as the provider says. (`deleteBeforeReplace`)
    pub delete_before_replace: Option<bool>,
    /// Forget it instead of deleting it. Absent: as its parent. (`retainOnDelete`)
    pub retain_on_delete: Option<bool>,
    /// URN of a resource whose deletion deletes this one as well, so that nobody has to be asked to.
    /// (`deletedWith`)
    pub deleted_with: Option<String>,
    /// URNs whose replacement replaces this one too. (`replaceWith`)
    pub replace_with: Vec<String>,
    /// A change of this value replaces it. (`replacementTrigger`)
    pub replacement_trigger: Option<Input>,
    /// Take over what exists in the cloud under this id; where the inputs differ from it, it is changed.
    /// (`import`)
    pub import_id: Option<String>,
    /// How long the provider may take. (`customTimeouts`)
    pub custom_timeouts: CustomTimeouts,
    /// The provider that manages it, and what is in it. It has to be of the resource's package to manage
    /// the resource itself. Absent: as its parent, else the package's default provider. (`provider`)
    pub provider: Option<ProviderReference>,
    /// The providers of what is in it, one for a package. (`providers`)
    pub providers: Vec<ProviderReference>,
    /// Of the provider's plugin. Changes which default provider is used. (`version`)
    pub version: Option<String>,
    /// Where the provider's plugin is downloaded from. (`pluginDownloadURL`)
    pub plugin_download_url: Option<String>,
    /// Outputs to encrypt in state besides those the provider marks. (`additionalSecretOutputs`)
    pub additional_secret_outputs: Vec<String>,
    /// Paths of properties whose differences are not shown. (`hideDiffs`)
    pub hide_diffs: Vec<String>,
    /// Of [`crate::Context::package`], for a parameterized provider. (`packageRef`)
    pub package: Option<PackageReference>,
    /// Of an explicit provider: environment variables that its plugin finds under another name, the new name first.
    /// (`envVarMappings`)
    pub env_var_mappings: BTreeMap<String, String>,
    /// Where the program asks for it, for what the engine and its policies print; kept in the state.
    pub source_position: Option<SourcePosition>,
    /// Functions that the engine calls around its steps. (`hooks`)
    pub hooks: Hooks,
    /// Changes to its own registration and to those of what is in it, in order. (`transforms`)
    pub transforms: Vec<Transform>,
}

setters!(ResourceOptions {
    parent(Option<Parent>),
    depends_on(BTreeSet<String>),
    protect(Option<bool>),
    aliases(Vec<Alias>),
    ignore_changes(Vec<String>),
    replace_on_changes(Vec<String>),
    delete_before_replace(Option<bool>),
    retain_on_delete(Option<bool>),
    deleted_with(Option<String>),
    replace_with(Vec<String>),
    replacement_trigger(Option<Input>),
    import_id(Option<String>),
    custom_timeouts(CustomTimeouts),
    provider(Option<ProviderReference>),
    providers(Vec<ProviderReference>),
    version(Option<String>),
    plugin_download_url(Option<String>),
    additional_secret_outputs(Vec<String>),
    hide_diffs(Vec<String>),
    package(Option<PackageReference>),
    env_var_mappings(BTreeMap<String, String>),
    source_position(Option<SourcePosition>),
    hooks(Hooks),
    transforms(Vec<Transform>),
});

/// A registration that can still be changed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Transformed {
    /// `package:module:Type`; a change has no effect.
    pub resource_type: String,
    /// A change has no effect.
    pub name: String,
    /// False for a component; a change has no effect.
    pub custom: bool,
    /// URN; a change has no effect.
    pub parent: String,
    /// Those with dependencies are [`Value::Output`]s.
    pub inputs: BTreeMap<String, Value>,
    /// `parent`, `package` and `transforms` are empty and stay as they are.
    pub options: ResourceOptions,
}

/// An async function that changes registrations (Pulumi: *transform*). Cheap to clone.
#[derive(Clone)]
pub struct Transform(Arc<dyn Fn(Transformed) -> BoxFuture<'static, Changed> + Send + Sync>);

type Changed = Result<Transformed, ProgramError>;

impl Transform {
    /// The function returns what is to be registered instead; an error fails the registration.
    pub fn new<F, Fut>(change: F) -> Self
    where
        F: Fn(Transformed) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Changed> + Send + 'static,
    {
        Self(Arc::new(move |args| Box::pin(change(args))))
    }

    pub(super) fn apply(&self, registration: Transformed) -> BoxFuture<'static, Changed> {
        (self.0)(registration)
    }
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transform")
    }
}

/// What a resource was before (Pulumi: *alias*).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Alias {
    /// Its whole URN.
    Urn(String),
    /// The parts of its URN that were different. Empty text means: as now.
    Parts {
        /// Its name.
        name: String,
        /// Its type, `package:module:Type`.
        resource_type: String,
        /// The stack's name.
        stack: String,
        /// The project's name.
        project: String,
        /// What it was a part of.
        parent: AliasParent,
    },
}

/// What an aliased resource was a part of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AliasParent {
    /// Of what it is a part of now.
    #[default]
    Same,
    /// Of the stack itself (Pulumi: `noParent`).
    Stack,
    /// Of the resource with this URN.
    Urn(String),
}

impl Alias {
    /// It had another name.
    pub fn name(name: impl Into<String>) -> Self {
        Self::parts(name.into(), String::new(), AliasParent::Same)
    }

    /// It had another type.
    pub fn resource_type(resource_type: impl Into<String>) -> Self {
        Self::parts(String::new(), resource_type.into(), AliasParent::Same)
    }

    /// It was a part of something else.
    pub fn parent(parent: AliasParent) -> Self {
        Self::parts(String::new(), String::new(), parent)
    }

    fn parts(name: String, resource_type: String, parent: AliasParent) -> Self {
        Self::Parts { name, resource_type, stack: String::new(), project: String::new(), parent }
    }
}

/// A place in the source of a program (Pulumi: *source position*).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourcePosition {
    /// `file://` and an absolute path.
    pub uri: String,
    /// Counts from 1.
    pub line: i32,
    /// Counts from 1; 0 when it is not known.
    pub column: i32,
}

impl SourcePosition {
    /// A place in a file, by its absolute path.
    pub fn new(path: &str, line: i32, column: i32) -> Self {
        Self { uri: format!("file://{path}"), line, column }
    }
}

/// How long the provider may take; absent means as long as it takes (Pulumi: `customTimeouts`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CustomTimeouts {
    /// To make it.
    pub create: Option<Duration>,
    /// To change it.
    pub update: Option<Duration>,
    /// To delete it.
    pub delete: Option<Duration>,
    /// To read it; older engines have no limit for that.
    pub read: Option<Duration>,
}

setters!(CustomTimeouts {
    create(Option<Duration>),
    update(Option<Duration>),
    delete(Option<Duration>),
    read(Option<Duration>),
});

/// A provider that a program has configured itself (Pulumi: *explicit provider*); see
/// [`crate::Resource::as_provider`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderReference {
    package: String,
    reference: String,
}

impl ProviderReference {
    /// The package whose resources it manages.
    pub fn package(&self) -> &str {
        &self.package
    }

    /// As the engine knows it, `urn::id`.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    pub(super) fn new(package: &str, urn: &str, id: &str) -> Self {
        let id = if id.is_empty() { UNKNOWN_ID } else { id };
        Self { package: package.to_owned(), reference: format!("{urn}::{id}") }
    }

    /// None unless it is the reference of a provider.
    pub(super) fn parse(reference: &str) -> Option<Self> {
        let (urn, _) = reference.rsplit_once("::")?;
        let package = urn.split("pulumi:providers:").nth(1)?.split("::").next()?;
        Some(Self { package: package.to_owned(), reference: reference.to_owned() })
    }
}

impl fmt::Display for ProviderReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_does_not_exist_yet_has_a_reference_with_an_unknown_id() {
        let urn = "urn:pulumi:s::p::pulumi:providers:cloud::mine";
        let provider = ProviderReference::new("cloud", urn, "");
        assert_eq!(provider.reference(), format!("{urn}::{UNKNOWN_ID}"));
        assert_eq!(ProviderReference::parse(provider.reference()), Some(provider));
    }

    #[test]
    fn only_the_reference_of_a_provider_is_read_as_one() {
        assert_eq!(ProviderReference::parse("urn:pulumi:s::p::cloud:test:Thing::a::id"), None);
        assert_eq!(ProviderReference::parse(""), None);
        let nested = "urn:pulumi:s::p::my:Component$pulumi:providers:cloud::mine::7";
        assert_eq!(ProviderReference::parse(nested).unwrap().package(), "cloud");
    }
}
