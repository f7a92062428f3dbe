//! Whose a service and its volume are.

use std::collections::HashMap;

use contracts::ErrorCode;
use provider_api::{Property, PropertyType, ProviderError, Result};

const OWNER: &str = "pilot.owner";

/// The two properties that both resources have. Their change is another object.
pub(super) fn schema(name: &'static str) -> Vec<Property> {
    vec![
        Property::required("name", PropertyType::String, name).replaces().example("pilot"),
        Property::required(
            "owner",
            PropertyType::String,
            "Whose it is: text that no other program uses. What has another owner is never touched.",
        )
        .replaces()
        .example("organization/pilot/dev"),
    ]
}

pub(super) fn owned_by(owner: &str) -> HashMap<String, String> {
    HashMap::from([(OWNER.to_owned(), owner.to_owned())])
}

pub(super) fn owner(labels: &HashMap<String, String>) -> Option<&String> {
    labels.get(OWNER)
}

/// Passes when the object is this owner's. Anything else is never touched.
pub(super) fn must_own(kind: &str, name: &str, labels: &HashMap<String, String>, ours: &str) -> Result<()> {
    let message = match owner(labels) {
        Some(owner) if owner == ours => return Ok(()),
        Some(owner) => format!("the {kind} {name} belongs to {owner}, so it is not touched"),
        None => format!("the {kind} {name} was not made as a service of Pilot, so it is not touched"),
    };
    Err(ProviderError::new(ErrorCode::ForeignObject, message)
        .with_action(format!("Rename or remove that {kind}, or choose another name.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_carries_the_same_owner_is_ours() {
        assert!(must_own("volume", "v", &owned_by("a"), "a").is_ok());
        let foreign = must_own("volume", "v", &owned_by("b"), "a").unwrap_err();
        assert_eq!(foreign.code, ErrorCode::ForeignObject);
        assert!(foreign.message.contains("belongs to b"), "{foreign}");
        assert!(must_own("volume", "v", &HashMap::new(), "a").unwrap_err().message.contains("not made"));
    }
}
