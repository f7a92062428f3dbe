//! Whose an object is: the labels that every object carries, and what they allow.

use std::collections::BTreeMap;

use contracts::{ErrorCode, InstallationId, RuntimeId};
use provider_api::{ProviderError, Result, RuntimeRef};

const INSTALLATION: &str = "pilot-installation";
const RUNTIME: &str = "pilot-runtime";
const GENERATION: &str = "pilot-generation";

/// A vendor's labels, tags or metadata: text to text.
pub(crate) type Labels = BTreeMap<String, String>;

/// A runtime at one generation of its spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub runtime: RuntimeRef,
    pub generation: u64,
}

impl Owner {
    pub fn new(runtime_id: &RuntimeId, installation: &InstallationId, generation: u64) -> Self {
        let runtime = RuntimeRef { runtime_id: runtime_id.clone(), installation: installation.clone() };
        Self { runtime, generation }
    }

    pub fn labels(&self) -> Labels {
        Labels::from([
            (INSTALLATION.to_owned(), self.runtime.installation.to_string()),
            (RUNTIME.to_owned(), self.runtime.runtime_id.to_string()),
            (GENERATION.to_owned(), self.generation.to_string()),
        ])
    }

    /// `None` when the labels do not say it completely.
    pub fn of(labels: &Labels) -> Option<Self> {
        let runtime_id = labels.get(RUNTIME)?.parse().ok()?;
        let installation = labels.get(INSTALLATION)?.parse().ok()?;
        let generation = labels.get(GENERATION)?.parse().ok()?;
        Some(Self { runtime: RuntimeRef { runtime_id, installation }, generation })
    }

    /// Passes when the object is ours and no newer generation has written it.
    pub fn may_change(&self, kind: &str, name: &str, labels: &Labels) -> Result<()> {
        match must_own(kind, name, labels, &self.runtime)? {
            theirs if theirs > self.generation => {
                Err(ProviderError::fenced(kind, name, self.generation, theirs))
            }
            _ => Ok(()),
        }
    }
}

/// Passes when the object is this runtime's of this installation, and tells its generation. Anything else
/// is never touched.
pub(crate) fn must_own(kind: &str, name: &str, labels: &Labels, runtime: &RuntimeRef) -> Result<u64> {
    let message = match Owner::of(labels) {
        Some(owner) if owner.runtime == *runtime => return Ok(owner.generation),
        Some(Owner { runtime: RuntimeRef { runtime_id, installation }, .. }) => format!(
            "the {kind} {name} belongs to {runtime_id} of the installation {installation}, so it is not touched"
        ),
        None => format!("the {kind} {name} was not made by Pilot, so it is not touched"),
    };
    Err(ProviderError::new(ErrorCode::ForeignObject, message)
        .with_action(format!("Rename or remove that {kind}, or delete this workspace and create it again.")))
}

/// Names are made from the runtime id: this is how a create finds what an earlier one has made.
pub(crate) fn machine_name(runtime: &RuntimeId) -> String {
    format!("pilot-{runtime}")
}

pub(crate) fn volume_name(runtime: &RuntimeId) -> String {
    format!("pilot-{runtime}-home")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(installation: &str, generation: u64) -> Owner {
        Owner::new(&"rt-1".parse().unwrap(), &installation.parse().unwrap(), generation)
    }

    #[test]
    fn only_the_same_installation_at_the_same_or_a_newer_generation_may_change_an_object() {
        let labels = owner("in-a", 4).labels();
        assert!(owner("in-a", 4).may_change("volume", "v", &labels).is_ok());
        assert!(owner("in-a", 5).may_change("volume", "v", &labels).is_ok());
        let code = |owner: Owner, labels| owner.may_change("volume", "v", labels).unwrap_err().code;
        assert_eq!(code(owner("in-a", 3), &labels), ErrorCode::Fenced);
        assert_eq!(code(owner("in-b", 9), &labels), ErrorCode::ForeignObject);
        assert_eq!(code(owner("in-a", 4), &Labels::new()), ErrorCode::ForeignObject);
    }
}
