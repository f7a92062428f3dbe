//! The resource types that are served, by their token.

use std::collections::BTreeMap;
use std::sync::Arc;

use provider_api::{Provider, Resource, ResourceSchema};

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Registry {
    resources: Arc<BTreeMap<&'static str, Arc<dyn Resource>>>,
}

impl Registry {
    pub fn new<'a>(providers: impl IntoIterator<Item = &'a Arc<dyn Provider>>) -> Self {
        Self::of(providers.into_iter().flat_map(|provider| provider.resources()))
    }

    pub fn of(resources: impl IntoIterator<Item = Arc<dyn Resource>>) -> Self {
        let resources = resources.into_iter().map(|resource| (resource.schema().token, resource));
        Self { resources: Arc::new(resources.collect()) }
    }

    pub(crate) fn get(&self, token: &str) -> Option<Arc<dyn Resource>> {
        self.resources.get(token).cloned()
    }

    pub(crate) fn schemas(&self) -> impl Iterator<Item = ResourceSchema> + '_ {
        self.resources.values().map(|resource| resource.schema())
    }
}
