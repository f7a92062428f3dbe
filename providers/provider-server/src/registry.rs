//! What is served: the resource types by their token, and the modules they belong to.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use contracts::Problem;
use contracts::workspace::ProviderCapabilities;
use provider_api::{Description, Provider, Resource, ResourceSchema, Site, Sites};
use tonic::Status;

use crate::ownership::Guard;
use crate::schema::package_schema;

/// Makes the modules anew with other settings: from variable to value. What is not named stays.
pub type Rebuild = dyn Fn(&BTreeMap<String, String>) -> Result<Registry, Problem> + Send + Sync;

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Registry {
    served: Arc<Served>,
    rebuild: Option<Arc<Rebuild>>,
    /// Where the runtime of the stack is, as far as that is known.
    sites: Arc<[Site]>,
}

#[derive(Default)]
struct Served {
    types: BTreeMap<&'static str, Type>,
    modules: Vec<Module>,
    schema: OnceLock<String>,
}

/// One resource type. The schema is made once: some calls need it for every resource.
#[derive(Clone)]
pub(crate) struct Type {
    pub resource: Arc<dyn Resource>,
    pub schema: Arc<ResourceSchema>,
    pub sites: Option<Arc<dyn Sites>>,
}

/// What a module tells about itself.
pub(crate) struct Module {
    pub description: Description,
    pub capabilities: ProviderCapabilities,
}

impl Registry {
    pub fn new<'a>(providers: impl IntoIterator<Item = &'a Arc<dyn Provider>>) -> Self {
        let (mut resources, mut modules) = (Vec::new(), Vec::new());
        for provider in providers {
            let sites = provider.sites();
            resources.extend(provider.resources().into_iter().map(|resource| (resource, sites.clone())));
            let (description, capabilities) = (provider.describe(), provider.capabilities());
            modules.push(Module { description, capabilities });
        }
        Self::with(resources, modules)
    }

    /// Resource types that belong to no module.
    pub fn of(resources: impl IntoIterator<Item = Arc<dyn Resource>>) -> Self {
        Self::with(resources.into_iter().map(|resource| (resource, None)), Vec::new())
    }

    fn with(
        resources: impl IntoIterator<Item = (Arc<dyn Resource>, Option<Arc<dyn Sites>>)>,
        modules: Vec<Module>,
    ) -> Self {
        let types = resources.into_iter().map(|(resource, sites)| {
            let schema = Arc::new(resource.schema());
            (schema.token, Type { resource, schema, sites })
        });
        let served = Served { types: types.collect(), modules, schema: OnceLock::new() };
        Self { served: Arc::new(served), rebuild: None, sites: Arc::default() }
    }

    /// Lets a provider in a program set what is no credential. Without this, settings come from the
    /// process alone.
    pub fn configurable(
        mut self,
        rebuild: impl Fn(&BTreeMap<String, String>) -> Result<Registry, Problem> + Send + Sync + 'static,
    ) -> Self {
        self.rebuild = Some(Arc::new(rebuild));
        self
    }

    /// For who serves the stack of one runtime that is at one of these: each call looks first whether that is reached, see
    /// [`provider_api::site`]. Whoever looks by itself, before it begins, says nothing here.
    pub fn at(mut self, sites: Vec<Site>) -> Self {
        self.sites = sites.into();
        self
    }

    pub(crate) fn guard(&self, of: &Type) -> Guard {
        Guard { sites: of.sites.clone(), known: Arc::clone(&self.sites) }
    }

    /// The package schema as JSON.
    pub fn schema(&self) -> &str {
        self.served.schema.get_or_init(|| package_schema(self).to_string())
    }

    pub(crate) fn get(&self, token: &str, urn: &str) -> Result<Type, Status> {
        // Older engines send the type only as a part of the URN.
        let token = if token.is_empty() { type_of(urn) } else { token };
        let missing = || Status::invalid_argument(format!("this plugin has no resource type {token:?}"));
        self.served.types.get(token).cloned().ok_or_else(missing)
    }

    pub(crate) fn types(&self) -> impl Iterator<Item = &ResourceSchema> {
        self.served.types.values().map(|of| of.schema.as_ref())
    }

    pub(crate) fn modules(&self) -> &[Module] {
        &self.served.modules
    }

    pub(crate) fn rebuild(&self) -> Option<&Rebuild> {
        self.rebuild.as_deref()
    }
}

/// `urn:pulumi:stack::project::parent$type::name`
fn type_of(urn: &str) -> &str {
    let qualified = urn.split("::").nth(2).unwrap_or_default();
    qualified.rsplit('$').next().unwrap_or(qualified)
}
