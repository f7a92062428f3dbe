//! Whose an object is: the labels that every object carries, and what they allow.

use std::collections::BTreeMap;

use contracts::{InstallationId, RuntimeId};
use provider_api::{Late, ProviderError, Result, RuntimeRef};

const INSTALLATION: &str = "pilot-installation";
const RUNTIME: &str = "pilot-runtime";
const GENERATION: &str = "pilot-generation";
/// Set by writes of operations; see `fence`.
const FENCE: &str = "pilot-fence";

/// A vendor's labels, tags or metadata: text to text.
pub(crate) type Labels = BTreeMap<String, String>;

/// A runtime at one generation of its spec. Of an object, the runtime's fence is the highest that it has seen.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub runtime: RuntimeRef,
    pub generation: u64,
}

impl Owner {
    pub fn new(runtime_id: &RuntimeId, installation: &InstallationId, generation: u64) -> Self {
        Self { runtime: RuntimeRef::new(runtime_id.clone(), installation.clone()), generation }
    }

    /// The same owner, in an operation with this fence.
    pub fn under(self, fence: Option<u64>) -> Self {
        Self { runtime: self.runtime.under(fence), ..self }
    }

    pub fn labels(&self) -> Labels {
        let mut labels = Labels::from([
            (INSTALLATION.to_owned(), self.runtime.installation.to_string()),
            (RUNTIME.to_owned(), self.runtime.runtime_id.to_string()),
            (GENERATION.to_owned(), self.generation.to_string()),
        ]);
        labels.extend(self.runtime.fence.map(|fence| (FENCE.to_owned(), fence.to_string())));
        labels
    }

    /// For an object that has these already: the highest fence stays.
    pub fn labels_over(&self, found: &Labels) -> Labels {
        let seen = Self::of(found).and_then(|owner| owner.runtime.fence);
        self.clone().under(self.runtime.fence.max(seen)).labels()
    }

    /// `None` when the labels do not say it completely.
    pub fn of(labels: &Labels) -> Option<Self> {
        let runtime_id = labels.get(RUNTIME)?.parse().ok()?;
        let installation = labels.get(INSTALLATION)?.parse().ok()?;
        let generation = labels.get(GENERATION)?.parse().ok()?;
        let fence = labels.get(FENCE).and_then(|fence| fence.parse().ok());
        Some(Self { runtime: RuntimeRef { runtime_id, installation, fence }, generation })
    }

    /// Passes when the object is ours and has seen neither a newer generation nor a higher fence.
    pub fn may_change(&self, kind: &str, name: &str, labels: &Labels) -> Result<()> {
        let found = must_own(kind, name, labels, &self.runtime)?;
        let (ours, theirs) = (self.generation, found.generation);
        if theirs > ours {
            return Err(ProviderError::fenced(Late::Generation, (kind, name), ours, theirs));
        }
        provider_api::fence::pass(self.runtime.fence, found.runtime.fence, (kind, name))
    }
}

/// What everything of the installation carries.
pub(crate) fn labels_of_all(installation: &InstallationId) -> Labels {
    Labels::from([(INSTALLATION.to_owned(), installation.to_string())])
}

/// What everything of the runtime carries.
pub(crate) fn labels_of(runtime: &RuntimeRef) -> Labels {
    let mut labels = labels_of_all(&runtime.installation);
    labels.insert(RUNTIME.to_owned(), runtime.runtime_id.to_string());
    labels
}

/// Passes when the object is this runtime's of this installation, and tells its labels. Anything else is
/// never touched.
pub(crate) fn must_own(kind: &str, name: &str, labels: &Labels, runtime: &RuntimeRef) -> Result<Owner> {
    let message = match Owner::of(labels) {
        Some(owner) if owner.runtime.is(runtime) => return Ok(owner),
        Some(Owner { runtime: RuntimeRef { runtime_id, installation, .. }, .. }) => format!(
            "the {kind} {name} belongs to {runtime_id} of the installation {installation}, so it is not touched"
        ),
        None => format!("the {kind} {name} was not made by Pilot, so it is not touched"),
    };
    Err(ProviderError::foreign(message, &format!("Remove that {kind} from the cloud")))
}

/// What is shared: an object of the installation, and of no runtime.
pub(crate) fn must_be_shared(
    kind: &str,
    name: &str,
    labels: &Labels,
    installation: &InstallationId,
) -> Result<()> {
    let message = match labels.get(INSTALLATION) {
        Some(found) if found == installation.as_str() => return Ok(()),
        Some(found) => format!("the {kind} {name} belongs to the installation {found}, so it is not touched"),
        None => format!("the {kind} {name} was not made by Pilot, so it is not touched"),
    };
    Err(ProviderError::foreign(message, &format!("Remove that {kind} from the cloud")))
}

/// The installation of an object, if it is one of Pilot's.
pub(crate) fn installation_of(labels: &Labels) -> Option<InstallationId> {
    labels.get(INSTALLATION)?.parse().ok()
}

/// Names are made from the runtime id: this is how a create finds what an earlier one has made.
pub(crate) fn machine_name(runtime: &RuntimeId) -> String {
    format!("pilot-{runtime}")
}

pub(crate) fn volume_name(runtime: &RuntimeId) -> String {
    format!("pilot-{runtime}-home")
}

/// Of the installation's network, as its operator calls it.
pub(crate) fn network_name(installation: &InstallationId, network: &str) -> String {
    format!("pilot-{installation}-{network}")
}

#[cfg(test)]
mod tests {
    use contracts::ErrorCode;

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

    #[test]
    fn an_object_keeps_the_highest_fence_and_a_lower_one_may_not_change_it() {
        let labels = owner("in-a", 4).under(Some(7)).labels();
        for fence in [None, Some(7), Some(8)] {
            assert!(owner("in-a", 4).under(fence).may_change("volume", "v", &labels).is_ok(), "{fence:?}");
        }
        let late = owner("in-a", 4).under(Some(6)).may_change("volume", "v", &labels).unwrap_err();
        assert_eq!(late.code, ErrorCode::Fenced);
        let kept =
            |fence| Owner::of(&owner("in-a", 5).under(fence).labels_over(&labels)).unwrap().runtime.fence;
        assert_eq!((kept(None), kept(Some(9))), (Some(7), Some(9)));
    }
}
