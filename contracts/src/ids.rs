//! Names and identifiers as types, parsed once at the boundary.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not a valid name. `Display` is written for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not valid: {reason}")]
pub struct InvalidName {
    pub what: &'static str,
    pub value: String,
    pub reason: &'static str,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String)]
        pub struct $name(Cow<'static, str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let check: fn(&str) -> Result<(), &'static str> = $check;
                match check(text) {
                    Ok(()) => Ok(Self(text.to_owned().into())),
                    Err(reason) => Err(InvalidName { what: $what, value: text.to_owned(), reason }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.into_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type!(
    /// The name a person gives a workspace. It is a DNS label because the workspace's UI is served on
    /// `<slug>.<domain>`; it can be reused after a delete.
    Slug, "slug", slug_rule
);
name_type!(
    /// The identity of a workspace, for ever: a later one of the same name has another. Never a valid slug.
    WorkspaceId, "workspace id", |text| label_rule(text, "ws_")
);
name_type!(
    /// The identity of one runtime, for ever. It names the Pulumi stack and every external object.
    RuntimeId, "runtime id", |text| label_rule(text, "rt-")
);
name_type!(
    /// One accepted request to change a workspace.
    OperationId, "operation id", |text| label_rule(text, "op-")
);
name_type!(
    /// One move of many workspaces to another image.
    RolloutId, "rollout id", |text| label_rule(text, "ro-")
);
name_type!(
    /// One installation of Pilot: the owner label on every external object.
    InstallationId, "installation id", |text| label_rule(text, "in-")
);
name_type!(
    /// A provider module's name, as in `--provider docker`.
    ProviderName, "provider name", |text| label_rule(text, "")
);

/// A workspace as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkspaceRef {
    /// This one and no successor.
    Id(WorkspaceId),
    /// Whichever has the name now.
    Slug(Slug),
}

impl FromStr for WorkspaceRef {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.starts_with("ws_") { text.parse().map(Self::Id) } else { text.parse().map(Self::Slug) }
    }
}

impl fmt::Display for WorkspaceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Slug(slug) => slug.fmt(f),
        }
    }
}

impl From<WorkspaceId> for WorkspaceRef {
    fn from(id: WorkspaceId) -> Self {
        Self::Id(id)
    }
}

impl From<Slug> for WorkspaceRef {
    fn from(slug: Slug) -> Self {
        Self::Slug(slug)
    }
}

impl ProviderName {
    /// The name of a module, in a `const`: one that is not valid does not compile.
    pub const fn constant(name: &'static str) -> Self {
        assert!(is_label(name.as_bytes(), 0), "a provider's name has 1 to 48 of a-z, 0-9 and '-'");
        Self(Cow::Borrowed(name))
    }
}

impl WorkspaceId {
    pub fn random() -> Self {
        Self(format!("ws_{}", short_random()).into())
    }
}

impl RuntimeId {
    pub fn random() -> Self {
        Self(format!("rt-{}", short_random()).into())
    }

    /// What the workspaces of a provider share. No runtime of a workspace is called so: those are random.
    pub fn shared_by(provider: &ProviderName) -> Self {
        Self(format!("rt-shared-{provider}").into())
    }
}

impl InstallationId {
    pub fn random() -> Self {
        Self(format!("in-{}", short_random()).into())
    }
}

impl OperationId {
    /// Sorts by creation time.
    pub fn random() -> Self {
        Self(format!("op-{}", uuid::Uuid::now_v7().simple()).into())
    }
}

impl RolloutId {
    /// Sorts by creation time.
    pub fn random() -> Self {
        Self(format!("ro-{}", uuid::Uuid::now_v7().simple()).into())
    }
}

fn short_random() -> String {
    let mut text = uuid::Uuid::new_v4().simple().to_string();
    text.truncate(16);
    text
}

/// Host names that a workspace could be mistaken for.
pub const RESERVED: [&str; 8] = ["admin", "api", "app", "auth", "gateway", "localhost", "pilot", "www"];

fn slug_rule(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 40 {
        return Err("it must have 1 to 40 characters");
    }
    if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err("only lower-case letters a-z, digits and '-' are allowed");
    }
    if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err("it must begin with a letter");
    }
    if text.ends_with('-') || text.contains("--") {
        return Err("'-' may only stand alone between two other characters");
    }
    if RESERVED.contains(&text) {
        return Err("this name is reserved for Pilot itself");
    }
    Ok(())
}

fn label_rule(text: &str, prefix: &'static str) -> Result<(), &'static str> {
    let Some(rest) = text.strip_prefix(prefix) else {
        return Err("it has the wrong prefix");
    };
    if rest.is_empty() || text.len() > LONGEST_LABEL {
        return Err("it must have 1 to 48 characters");
    }
    if !is_label(text.as_bytes(), prefix.len()) {
        return Err("only lower-case letters a-z, digits and '-' are allowed");
    }
    Ok(())
}

const LONGEST_LABEL: usize = 48;

/// Whether all that follows the prefix is allowed, and is something. For constants as well.
const fn is_label(text: &[u8], prefix: usize) -> bool {
    let mut at = prefix;
    while at < text.len() {
        if !(text[at].is_ascii_lowercase() || text[at].is_ascii_digit() || text[at] == b'-') {
            return false;
        }
        at += 1;
    }
    text.len() > prefix && text.len() <= LONGEST_LABEL
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_slug_is_a_dns_label_that_begins_with_a_letter() {
        for good in ["demo", "a", "my-app2", "x9"] {
            assert!(good.parse::<Slug>().is_ok(), "{good}");
        }
        for bad in ["", "Demo", "1st", "-a", "a-", "a--b", "a_b", "a.b", "ü", "localhost", "api"] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
        assert!("a".repeat(41).parse::<Slug>().is_err());
    }

    #[test]
    fn the_error_says_what_was_wrong_with_which_value() {
        let message = "My App".parse::<Slug>().unwrap_err().to_string();
        assert_eq!(
            message,
            r#"slug "My App" is not valid: only lower-case letters a-z, digits and '-' are allowed"#
        );
    }

    #[test]
    fn random_ids_parse_as_themselves() {
        assert!(RuntimeId::random().as_str().parse::<RuntimeId>().is_ok());
        assert!(OperationId::random().as_str().parse::<OperationId>().is_ok());
        assert!(InstallationId::random().as_str().parse::<InstallationId>().is_ok());
        assert!(RolloutId::random().as_str().parse::<RolloutId>().is_ok());
        assert!(WorkspaceId::random().as_str().parse::<WorkspaceId>().is_ok());
    }

    #[test]
    fn a_constant_name_is_the_name_that_its_text_parses_as() {
        const NAME: ProviderName = ProviderName::constant("my-cloud");
        assert_eq!("my-cloud".parse(), Ok(NAME));
        for bad in ["", "My", "a_b", &"a".repeat(49)] {
            let bad: &'static str = bad.to_owned().leak();
            assert!(bad.parse::<ProviderName>().is_err(), "{bad}");
            assert!(std::panic::catch_unwind(|| ProviderName::constant(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_workspace_is_named_by_its_id_or_its_slug_and_no_text_is_both() {
        let id = WorkspaceId::random();
        assert_eq!(id.as_str().parse(), Ok(WorkspaceRef::Id(id.clone())));
        assert!(id.as_str().parse::<Slug>().is_err());
        assert_eq!("demo".parse(), Ok(WorkspaceRef::Slug("demo".parse().unwrap())));
        assert!("ws_".parse::<WorkspaceRef>().is_err() && "My App".parse::<WorkspaceRef>().is_err());
    }

    proptest! {
        #[test]
        fn whatever_parses_as_a_slug_is_safe_in_host_names_paths_and_argv(text in "\\PC{0,60}") {
            if let Ok(slug) = text.parse::<Slug>() {
                prop_assert!(slug.as_str().len() <= 63);
                prop_assert!(!slug.as_str().starts_with('-'));
                prop_assert!(slug.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
            }
        }
    }
}
