//! Whose a script or an application is, and the refusal to touch another's.

use contracts::InstallationId;
use provider_api::ProviderError;
use provider_kit::owner::Object;

/// In front of the installation, in the tags of a script.
const INSTALLATION: &str = "pilot-installation:";
const VERSION: &str = "pilot-version:";
const KEYS: &str = "pilot-keys:";

/// What a script of ours says of itself: scripts have no labels but tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tags {
    pub installation: String,
    pub version: String,
    pub keys: String,
}

impl Tags {
    pub fn list(&self) -> [String; 3] {
        let Self { installation, version, keys } = self;
        [format!("{INSTALLATION}{installation}"), format!("{VERSION}{version}"), format!("{KEYS}{keys}")]
    }

    /// None for a script that Pilot did not make.
    pub fn of(tags: &serde_json::Value) -> Option<Self> {
        let find = |prefix: &str| {
            let tags = tags.as_array()?.iter().filter_map(serde_json::Value::as_str);
            tags.filter_map(|tag| tag.strip_prefix(prefix)).next().map(str::to_owned)
        };
        Some(Self { installation: find(INSTALLATION)?, version: find(VERSION)?, keys: find(KEYS)? })
    }
}

pub(crate) fn foreign(kind: &str, name: &str, owner: Option<&str>) -> ProviderError {
    object(kind, name).foreign(owner.map(|owner| format!("the installation {owner}")))
}

fn object<'a>(kind: &'a str, name: &'a str) -> Object<'a> {
    Object { kind, name, removal: |kind, _| format!("Rename or remove that {kind}") }
}

/// Passes when the inputs are of the installation that this module is configured for.
pub(crate) fn must_be(
    ours: &InstallationId,
    claimed: &InstallationId,
    kind: &str,
) -> Result<(), ProviderError> {
    object(kind, &crate::config::script(claimed)).must_be_in(claimed, Some(ours))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tags_are_read_as_they_were_written_and_anything_else_is_not_ours() {
        let tags = Tags { installation: "in-1".to_owned(), version: "v".to_owned(), keys: "k".to_owned() };
        assert_eq!(Tags::of(&json!(tags.list())), Some(tags));
        assert_eq!(Tags::of(&json!(["pilot-installation:in-1"])), None);
        assert_eq!(Tags::of(&json!(null)), None);
    }
}
