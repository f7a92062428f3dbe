//! A resource as a value.

use serde_json::{Map, Value as Json};

use super::Value;

/// Another resource as a value (Pulumi: *resource reference*).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResourceReference {
    /// Says which resource it is.
    pub urn: String,
    /// Text, or unknown in a preview; absent for a component, which has none.
    pub id: Option<Box<Value>>,
    /// The resource's name; empty when the peer did not say.
    pub name: String,
    /// `package:module:Type`; empty when the peer did not say.
    pub resource_type: String,
    /// Of the provider that knows the resource's type; may be empty.
    pub package_version: String,
}

impl ResourceReference {
    pub(super) fn reveal(&self) -> Json {
        let mut parts = Map::from_iter([("urn".to_owned(), self.urn.clone().into())]);
        if let Some(id) = &self.id {
            parts.insert("id".to_owned(), id.reveal());
        }
        Json::Object(parts)
    }
}
