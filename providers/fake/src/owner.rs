//! Whose an object is: the labels that every object carries. What they allow is the same for all modules, see [`provider_kit::owner`].

use std::collections::BTreeMap;

use contracts::{InstallationId, RuntimeId};
use provider_api::{Result, RuntimeRef};
use provider_kit::owner::{LabelNames, Object, Owner};

/// A vendor's labels, tags or metadata: text to text.
pub(crate) type Labels = BTreeMap<String, String>;

/// The fence is set by writes of operations; see `fence`.
pub(crate) const LABELS: LabelNames = LabelNames {
    installation: "pilot-installation",
    runtime: "pilot-runtime",
    generation: "pilot-generation",
    fence: Some("pilot-fence"),
};

/// Whose an object with these labels is; `None` when they do not say it.
pub(crate) fn of(labels: &Labels) -> Option<Owner> {
    LABELS.owner(|name| labels.get(name))
}

/// As people are told of it.
pub(crate) fn object<'a>(kind: &'a str, name: &'a str) -> Object<'a> {
    Object { kind, name, removal: |kind, _| format!("Remove that {kind} from the cloud") }
}

/// Passes when the object is this runtime's of this installation. Anything else is never touched.
pub(crate) fn must_own(object: Object<'_>, labels: &Labels, runtime: &RuntimeRef) -> Result<()> {
    object.must_be_of(runtime, of(labels).as_ref().map(|owner| &owner.runtime))
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
