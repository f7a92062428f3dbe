//! The inputs that every resource of a runtime has: whose it is. And those of every instance: which repository it begins with.
//! A module flattens these types into its own, adds their properties to its schema, and declares them in one word.

use contracts::egress::EgressAllow;
use contracts::{InstallationId, RuntimeId};
use provider_api::{Declaration, Property, PropertyType, RuntimeRef, RuntimeSpec};
use serde::{Deserialize, Serialize};

/// No generation is higher. Also JavaScript counts as far.
const NEWEST: u64 = (1 << 53) - 1;

/// Whose an object is, and for which generation of the spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owned {
    /// The runtime that it serves.
    pub runtime_id: RuntimeId,
    /// The installation that owns it.
    pub installation: InstallationId,
    /// Rises with every change of the spec.
    pub generation: u64,
}

impl Owned {
    /// As inputs say it: a fence is none.
    pub fn new(runtime: RuntimeRef, generation: u64) -> Self {
        Self { runtime_id: runtime.runtime_id, installation: runtime.installation, generation }
    }

    /// Without a fence.
    pub fn runtime(&self) -> RuntimeRef {
        RuntimeRef::new(self.runtime_id.clone(), self.installation.clone())
    }

    /// As a delete sees it, whose fence has to pass: who holds that comes after everybody, also after an update that failed on its way
    /// and left a newer generation behind than its stack knows of. Without a fence the generation decides.
    #[must_use]
    pub fn removed_under(self, fence: Option<u64>) -> Self {
        match fence {
            Some(_) => Self { generation: NEWEST, ..self },
            None => self,
        }
    }

    /// The three of a schema. Another runtime or installation is another object.
    pub fn properties() -> Vec<Property> {
        vec![
            Property::required("runtimeId", PropertyType::String, "The runtime that it serves.")
                .replaces()
                .example("rt-0123456789abcdef"),
            installation_property(),
            Property::required("generation", PropertyType::Integer, "Rises with every change of the spec."),
        ]
    }
}

/// The one of what all runtimes of an installation share.
pub fn installation_property() -> Property {
    Property::required("installation", PropertyType::String, "The installation that owns it.")
        .replaces()
        .example("in-fedcba9876543210")
}

/// Where the files of a new home come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Git {
    /// What is cloned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_url: Option<String>,
    /// A branch or a tag; else the repository's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
}

impl Git {
    /// The two of a schema. Their change is no other object: what was cloned stays.
    pub fn properties() -> [Property; 2] {
        [
            Property::optional(
                "gitUrl",
                PropertyType::String,
                "Cloned into the workspace at its first boot.",
            )
            .example("https://git.example.com/team/app.git"),
            Property::optional("gitRef", PropertyType::String, "A branch or tag of the repository.")
                .example("main"),
        ]
    }
}

/// The list of destinations, where a runtime has one. Its change is no other home.
pub fn egress_property() -> Property {
    Property::optional(
        "egressAllow",
        PropertyType::List(&PropertyType::String),
        "The destinations that it reaches, and nothing else: names, addresses and networks, with or without a port.",
    )
}

/// The same as inputs of a declaration.
pub trait DeclarationExt {
    /// With the inputs of [`Owned`].
    fn owned_by(self, runtime: &RuntimeSpec) -> Self;
    /// With those of [`Git`] that the runtime has.
    fn git_of(self, runtime: &RuntimeSpec) -> Self;
    /// With the list of [`egress_property`] that the runtime has.
    fn egress_of(self, runtime: &RuntimeSpec) -> Self;
}

impl DeclarationExt for Declaration {
    fn owned_by(self, runtime: &RuntimeSpec) -> Self {
        self.input("runtimeId", runtime.runtime_id.as_str())
            .input("installation", runtime.installation.as_str())
            .input("generation", runtime.generation)
    }

    fn git_of(self, runtime: &RuntimeSpec) -> Self {
        let git = runtime.git.as_ref();
        self.optional_input("gitUrl", git.map(|git| git.url.as_str()))
            .optional_input("gitRef", git.and_then(|git| git.reference.as_deref()))
    }

    fn egress_of(self, runtime: &RuntimeSpec) -> Self {
        self.optional_input("egressAllow", runtime.egress.as_ref().map(EgressAllow::texts))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use contracts::workspace::GitSource;
    use provider_api::Expr;
    use provider_api::resource::{parse, properties};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Inputs {
        #[serde(flatten)]
        owned: Owned,
        #[serde(flatten)]
        git: Git,
        image: String,
    }

    fn spec(git: Option<GitSource>) -> RuntimeSpec {
        RuntimeSpec {
            generation: 3,
            git,
            ..RuntimeSpec::new("rt-1".parse().unwrap(), "in-1".parse().unwrap(), "small")
        }
    }

    #[test]
    fn what_is_declared_is_what_the_schema_has_and_what_inputs_are_read_from() {
        let git =
            GitSource { url: "https://git.example.com/a.git".to_owned(), reference: Some("b".to_owned()) };
        let spec = spec(Some(git));
        let declared = Declaration::new("machine", "pilot:x:Machine").owned_by(&spec).git_of(&spec);
        let known: BTreeSet<_> =
            Owned::properties().into_iter().chain(Git::properties()).map(|known| known.name).collect();
        assert_eq!(declared.inputs.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);

        let values = declared.input("image", "i").inputs.into_iter().map(|(name, value)| match value {
            Expr::Value(value) => (name, value),
            other => panic!("{name}: {other:?}"),
        });
        let mut read = values.collect::<provider_api::Properties>();
        // As it comes over the wire.
        read.insert("generation".to_owned(), 3.0.into());
        let inputs: Inputs = parse(&read).unwrap();
        assert_eq!(
            inputs.owned,
            Owned::new(RuntimeRef::new(spec.runtime_id.clone(), spec.installation.clone()), 3)
        );
        assert_eq!(inputs.git.git_ref.as_deref(), Some("b"));
        assert_eq!(parse::<Inputs>(&properties(&inputs)).unwrap(), inputs);
    }

    #[test]
    fn a_runtime_without_git_has_no_such_inputs() {
        let declared = Declaration::new("machine", "pilot:x:Machine").git_of(&spec(None));
        assert!(declared.inputs.is_empty());
        assert!(properties(&Git::default()).is_empty());
    }
}
