//! What resources have in common: how they are reached, and ids that say where.

use provider_api::{Property, PropertyType};

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
