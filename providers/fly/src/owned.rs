//! What all three resources have in common: whose they are, and ids that say where.

use contracts::{InstallationId, RuntimeId};
use provider_api::{Property, PropertyType, RuntimeRef};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Owned {
    pub runtime_id: RuntimeId,
    pub installation: InstallationId,
    pub generation: u64,
}

impl Owned {
    pub fn of(runtime: RuntimeRef, generation: u64) -> Self {
        Self { runtime_id: runtime.runtime_id, installation: runtime.installation, generation }
    }

    pub fn runtime(&self) -> RuntimeRef {
        RuntimeRef::new(self.runtime_id.clone(), self.installation.clone())
    }

    pub fn schema() -> Vec<Property> {
        vec![
            Property::required("runtimeId", PropertyType::String, "The runtime that it serves.")
                .replaces()
                .example("rt-0123456789abcdef"),
            Property::required("installation", PropertyType::String, "The installation that owns it.")
                .replaces()
                .example("in-fedcba9876543210"),
            Property::required("generation", PropertyType::Integer, "Rises with every change of the spec."),
        ]
    }
}

/// How the gateway reaches it, of an app and its machine.
pub(crate) fn reach_property() -> Property {
    Property::optional(
        "reach",
        PropertyType::String,
        "How the gateway reaches it, `edge` or `flycast`; else as the provider's setting says.",
    )
    .example("edge")
}

/// An id that is enough to find an object of an app.
pub(crate) fn id(app: &str, object: &str) -> String {
    format!("{app}/{object}")
}

/// The app and the object of an id.
pub(crate) fn split(id: &str) -> Option<(&str, &str)> {
    id.split_once('/')
}
