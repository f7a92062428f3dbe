//! What a resource is a part of.

use std::collections::BTreeMap;

/// A resource as the parent of others: anything that has one, such as a [`crate::Resource`], becomes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    pub(super) urn: String,
    /// By package: what manages the resources in it.
    pub(super) providers: BTreeMap<String, String>,
}

impl Parent {
    /// Its URN.
    pub fn urn(&self) -> &str {
        &self.urn
    }
}
