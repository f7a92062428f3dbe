//! Functions of providers and methods of resources.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Context;
use super::connection::refused;
use super::options::{ProviderReference, ResourceOptions, SourcePosition};
use super::package::PackageReference;
use super::parent::Parent;
use super::register::has_unknowns;
use super::request::{Run, place_to_wire};
use super::resource::{Resource, package_of, providers_of};
use crate::program_error::{InvalidArgument, ProgramError};
use crate::setters::setters;
use crate::value::Input;
use crate::value::{self, Value};
use crate::wire as rpc;

/// The argument of a method that is the resource itself.
const SELF: &str = "__self__";

/// How a function is called (Pulumi: *invoke options*).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct InvokeOptions {
    /// Whose providers to use.
    pub parent: Option<Parent>,
    /// The provider to ask; else the parent's, else the package's default provider.
    pub provider: Option<ProviderReference>,
    /// URNs the result comes from besides the arguments. A function is not called before they exist. (`dependsOn`)
    pub depends_on: BTreeSet<String>,
    /// Of the provider's plugin.
    pub version: Option<String>,
    /// Where the provider's plugin is downloaded from.
    pub plugin_download_url: Option<String>,
    /// Of [`Context::package`], for a parameterized provider.
    pub package: Option<PackageReference>,
    /// Where the program asks for it. Of a method: what it makes is told as made from here.
    pub source_position: Option<SourcePosition>,
}

setters!(InvokeOptions {
    parent(Option<Parent>),
    provider(Option<ProviderReference>),
    depends_on(BTreeSet<String>),
    version(Option<String>),
    plugin_download_url(Option<String>),
    package(Option<PackageReference>),
    source_position(Option<SourcePosition>),
});

/// What a function or method has returned.
#[derive(Debug, Clone)]
pub struct Returned {
    values: BTreeMap<String, Value>,
    dependencies: BTreeSet<String>,
    by_property: HashMap<String, BTreeSet<String>>,
    secret: bool,
    unknown: bool,
}

impl Returned {
    /// One result with all it comes from. Secret when an argument was; unknown when the function was not called.
    pub fn output(&self, name: &str) -> Input {
        let missing = if self.unknown { Value::Unknown } else { Value::Null };
        let mut dependencies = self.dependencies.clone();
        dependencies.extend(self.by_property.get(name).into_iter().flatten().cloned());
        let input = Input { value: self.values.get(name).cloned().unwrap_or(missing), dependencies };
        if self.secret { input.into_secret() } else { input }
    }

    /// All results; none when the function was not called. Secret when an argument was.
    pub fn values(&self) -> &BTreeMap<String, Value> {
        &self.values
    }
}

impl Context {
    /// Calls a function of a provider, `package:module:function` (Pulumi: *invoke*). It is not called at
    /// all in a preview in which an argument is unknown, or something that it depends on does not exist yet.
    ///
    /// [`ProgramError::FunctionFailed`] when the provider finds fault with the arguments,
    /// [`ProgramError::Refused`] when it fails.
    pub async fn invoke(
        &self,
        token: &str,
        args: BTreeMap<String, Input>,
        options: InvokeOptions,
    ) -> Result<Returned, ProgramError> {
        let _underway = self.inner.requests.begin();
        let run = self.inner.request();
        let secret = has_secrets(&args);
        let unknown = has_unknowns(&args) || self.is_any_unmade(&run, &options.depends_on);
        // A function takes plain values: what they come from is for us to remember.
        let plain =
            args.iter().map(|(name, input)| (name.clone(), input.value.clone().without_dependencies()));
        let plain = plain.collect();
        let mut dependencies = run.encode(args)?.dependencies;
        dependencies.extend(options.depends_on.iter().cloned());
        let mut returned =
            Returned { values: BTreeMap::new(), dependencies, by_property: HashMap::new(), secret, unknown };
        if unknown {
            return Ok(returned);
        }
        let (source_position, stack_trace) = place_to_wire(options.source_position.clone());
        let request = rpc::ResourceInvokeRequest {
            tok: token.to_owned(),
            args: Some(value::struct_of(&plain)),
            provider: provider(token, &options),
            version: options.version.unwrap_or_default(),
            plugin_download_url: options.plugin_download_url.unwrap_or_default(),
            package_ref: options.package.map(|package| package.0).unwrap_or_default(),
            source_position,
            stack_trace,
            accept_resources: true,
            accepts_byte_string: true,
            ..Default::default()
        };
        let response = self.inner.monitor.clone().invoke(request).await.map_err(refused)?.into_inner();
        check(token, response.failures)?;
        returned.unknown = response.unknown;
        returned.values = results(response.r#return.as_ref(), secret);
        Ok(returned)
    }

    /// True when one of these, or of what is in a component among them, has no id yet.
    fn is_any_unmade(&self, run: &Run<'_>, urns: &BTreeSet<String>) -> bool {
        let expanded = run.family.expand(urns.clone());
        self.inner.unmade.lock().is_ok_and(|unmade| expanded.iter().any(|urn| unmade.contains(urn)))
    }

    /// Calls a method of a resource, `package:module:Type/method` (Pulumi: *call*); `of` is the resource
    /// itself, the argument `__self__`. Its own provider is asked unless the options name one or a parent
    /// that has one; version and download URL count without a resource only. Errors are those of
    /// [`Context::invoke`].
    pub async fn call(
        &self,
        token: &str,
        of: Option<&Resource>,
        mut args: BTreeMap<String, Input>,
        options: InvokeOptions,
    ) -> Result<Returned, ProgramError> {
        let _underway = self.inner.requests.begin();
        if let Some(resource) = of {
            // The engine wants this one bare.
            args.insert(SELF.to_owned(), Input::from(resource.reference().value));
        }
        let secret = has_secrets(&args);
        let mut encoded = self.inner.request().encode(args)?;
        if let Some(resource) = of {
            encoded.by_property.insert(SELF.to_owned(), BTreeSet::from([resource.urn.clone()]));
            encoded.dependencies.insert(resource.urn.clone());
        }
        let arg_dependencies = encoded.by_property.into_iter().map(|(name, urns)| {
            (name, rpc::resource_call_request::ArgumentDependencies { urns: urns.into_iter().collect() })
        });
        let inherited = || of.and_then(|of| of.providers.get(package_of(token)).cloned()).unwrap_or_default();
        let provider =
            Some(provider(token, &options)).filter(|own| !own.is_empty()).unwrap_or_else(inherited);
        let (source_position, stack_trace) = place_to_wire(options.source_position.clone());
        let request = rpc::ResourceCallRequest {
            tok: token.to_owned(),
            args: Some(encoded.object),
            arg_dependencies: arg_dependencies.collect(),
            provider,
            version: options.version.unwrap_or_default(),
            plugin_download_url: options.plugin_download_url.unwrap_or_default(),
            package_ref: options.package.map(|package| package.0).unwrap_or_default(),
            source_position,
            stack_trace,
            accepts_byte_string: true,
            ..Default::default()
        };
        let response = self.inner.monitor.clone().call(request).await.map_err(refused)?.into_inner();
        check(token, response.failures)?;
        let mut dependencies = encoded.dependencies;
        dependencies.extend(options.depends_on);
        let by_property = response.return_dependencies.into_iter();
        Ok(Returned {
            values: results(response.r#return.as_ref(), secret),
            dependencies,
            by_property: by_property.map(|(name, from)| (name, from.urns.into_iter().collect())).collect(),
            secret,
            unknown: self.is_preview(),
        })
    }
}

/// What was made of a secret argument is secret.
fn results(returned: Option<&rpc::Struct>, secret: bool) -> BTreeMap<String, Value> {
    let values = value::properties_of(returned).into_iter();
    values.map(|(name, value)| (name, if secret { Value::secret(value) } else { value })).collect()
}

fn has_secrets(args: &BTreeMap<String, Input>) -> bool {
    args.values().any(|input| input.value.has_secrets())
}

fn provider(token: &str, options: &InvokeOptions) -> String {
    let options = ResourceOptions {
        parent: options.parent.clone(),
        provider: options.provider.clone(),
        ..ResourceOptions::default()
    };
    providers_of(&options).remove(package_of(token)).unwrap_or_default()
}

fn check(token: &str, failures: Vec<rpc::CheckFailure>) -> Result<(), ProgramError> {
    if failures.is_empty() {
        return Ok(());
    }
    let failures = failures
        .into_iter()
        .map(|failure| InvalidArgument { property: failure.property, reason: failure.reason });
    Err(ProgramError::FunctionFailed { token: token.to_owned(), failures: failures.collect() })
}
