//! Deterministic names and owner labels: how objects are found again.

use std::collections::HashMap;

use contracts::egress::EgressAllow;
use contracts::{InstallationId, RuntimeId};
use jiff::Timestamp;
use provider_api::{ProviderError, Result, RuntimeRef};
use provider_kit::owner::{LabelNames, Object, Owner};

use crate::placement::Need;

/// Generation and fence are those with which the object was made; labels cannot change later, see `generation` and `fence`.
pub(crate) const LABELS: LabelNames = LabelNames {
    installation: "pilot.installation",
    runtime: "pilot.runtime",
    generation: "pilot.generation",
    fence: Some(FENCE),
};
const FENCE: &str = "pilot.fence";

/// The key of the snapshot that a volume is a part of.
const SNAPSHOT: &str = "pilot.snapshot";
/// On records alone.
pub(crate) const SNAPSHOT_NAME: &str = "pilot.snapshot.name";
pub(crate) const SNAPSHOT_CREATED: &str = "pilot.snapshot.created";
pub(crate) const SNAPSHOT_BYTES: &str = "pilot.snapshot.bytes";
/// Whose files a container copies. It is no instance, so it has no label of a runtime.
const COPIES: &str = "pilot.copies";

/// The host that a claim is for.
const CLAIMS: &str = "pilot.claim";
const CLAIM_END: &str = "-claim";

/// Which end of a container was wanted.
const STOPPED: &str = "pilot.stopped";
const STOP_END: &str = "-stopped";
/// On a container that was made in the place of one that was stopped.
pub(crate) const RESTS: &str = "pilot.rests";

/// What an instance takes: MiB, and thousandths of a core.
const MEMORY: &str = "pilot.memory";
const CPU: &str = "pilot.cpu";

/// The list of destinations, where there is one.
const EGRESS: &str = "pilot.egress-allow";

pub(crate) fn egress_label(allow: &EgressAllow) -> (String, String) {
    (EGRESS.to_owned(), allow.to_string())
}

/// What cannot be read allows nothing: the label is ours, so it is a newer Pilot's.
pub(crate) fn egress(labels: &HashMap<String, String>) -> Option<EgressAllow> {
    labels.get(EGRESS).map(|text| text.parse().unwrap_or_default())
}

/// The name of the runtime's network and of its container.
pub(crate) fn name(runtime: &RuntimeId) -> String {
    format!("pilot-{runtime}")
}

pub(crate) fn volume_name(runtime: &RuntimeId) -> String {
    format!("pilot-{runtime}-home")
}

/// The volume that keeps this fence.
pub(crate) fn fence_register(runtime: &RuntimeId, fence: u64) -> String {
    format!("pilot-{runtime}-fence-{fence}")
}

/// The volume that keeps this generation.
pub(crate) fn generation_register(runtime: &RuntimeId, generation: u64) -> String {
    format!("pilot-{runtime}-generation-{generation}")
}

/// The volume that says on which host the runtime is to be made.
pub(crate) fn claim(runtime: &RuntimeId) -> String {
    format!("pilot-{runtime}{CLAIM_END}")
}

pub(crate) fn is_claim(name: &str) -> bool {
    name.starts_with("pilot-") && name.ends_with(CLAIM_END)
}

/// Without a fence: it is said before anything of the runtime is there.
pub(crate) fn claim_labels(runtime: &RuntimeRef, host: &str) -> HashMap<String, String> {
    let mut labels = register_labels(&runtime.clone().under(None));
    labels.insert(CLAIMS.to_owned(), host.to_owned());
    labels
}

pub(crate) fn claimed(labels: &HashMap<String, String>) -> Option<&str> {
    labels.get(CLAIMS).map(String::as_str)
}

/// The volume that says of one end of the container that it was wanted.
pub(crate) fn stop_register(runtime: &RuntimeId) -> String {
    format!("pilot-{runtime}{STOP_END}")
}

pub(crate) fn stop_labels(runtime: &RuntimeRef, end: &str) -> HashMap<String, String> {
    let mut labels = register_labels(&runtime.clone().under(None));
    labels.insert(STOPPED.to_owned(), end.to_owned());
    labels
}

pub(crate) fn stopped(labels: &HashMap<String, String>) -> Option<&str> {
    labels.get(STOPPED).map(String::as_str)
}

/// A part of a snapshot: both are volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Files,
    /// It is empty: it says that the files are whole.
    Record,
}

pub(crate) fn snapshot(runtime: &RuntimeId, key: &str, part: Part) -> String {
    let part = match part {
        Part::Files => "files",
        Part::Record => "record",
    };
    format!("pilot-{runtime}-snap-{key}-{part}")
}

/// The volume that says that a home is being exchanged.
pub(crate) fn restoring(runtime: &RuntimeId) -> String {
    format!("pilot-{runtime}-restoring")
}

/// The container that copies.
pub(crate) fn copy(runtime: &RuntimeId) -> String {
    format!("pilot-{runtime}-copy")
}

/// Without a fence: what keeps one stays as long as the runtime does.
pub(crate) fn snapshot_labels(runtime: &RuntimeRef, key: &str) -> HashMap<String, String> {
    let mut labels = register_labels(&runtime.clone().under(None));
    labels.insert(SNAPSHOT.to_owned(), key.to_owned());
    labels
}

pub(crate) fn record_labels(name: Option<&str>, created: Timestamp, bytes: u64) -> HashMap<String, String> {
    let mut labels = HashMap::from([
        (SNAPSHOT_CREATED.to_owned(), created.to_string()),
        (SNAPSHOT_BYTES.to_owned(), bytes.to_string()),
    ]);
    labels.extend(name.map(|name| (SNAPSHOT_NAME.to_owned(), name.to_owned())));
    labels
}

pub(crate) fn snapshot_key(labels: &HashMap<String, String>) -> Option<&str> {
    labels.get(SNAPSHOT).map(String::as_str)
}

pub(crate) fn copy_labels(runtime: &RuntimeRef) -> HashMap<String, String> {
    HashMap::from([
        (LABELS.installation.to_owned(), runtime.installation.to_string()),
        (COPIES.to_owned(), runtime.runtime_id.to_string()),
    ])
}

/// Whether a container copies, or looks at what is there to be copied: for Pilot, and for no user.
pub(crate) fn is_copy(labels: &HashMap<String, String>) -> bool {
    labels.contains_key(COPIES)
}

/// Passes when the container copies for this runtime of this installation.
pub(crate) fn must_copy(name: &str, labels: &HashMap<String, String>, runtime: &RuntimeRef) -> Result<()> {
    if copy_labels(runtime).iter().all(|(label, value)| labels.get(label) == Some(value)) {
        return Ok(());
    }
    let message =
        format!("the container {name} was not made for copies of this runtime, so it is not touched");
    Err(ProviderError::foreign(message, &format!("Remove that container (`docker rm {name}`)")))
}

/// Whether a volume of ours keeps a fence, a generation, a claim or a stop; a home does not.
pub(crate) fn is_register(name: &str) -> bool {
    is_fence_register(name) || is_generation_register(name) || is_claim(name) || name.ends_with(STOP_END)
}

pub(crate) fn is_fence_register(name: &str) -> bool {
    ends_with_number(name, "-fence-")
}

pub(crate) fn is_generation_register(name: &str) -> bool {
    ends_with_number(name, "-generation-")
}

fn ends_with_number(name: &str, after: &str) -> bool {
    name.rsplit_once(after).is_some_and(|(_, number)| number.parse::<u64>().is_ok())
}

/// Whose name or volume name this is.
pub(crate) fn runtime(name: &str) -> Option<RuntimeId> {
    let name = name.strip_prefix("pilot-")?;
    name.strip_suffix("-home").unwrap_or(name).parse().ok()
}

pub(crate) fn labels(runtime: &RuntimeRef, generation: u64) -> HashMap<String, String> {
    LABELS.of(&Owner { runtime: runtime.clone(), generation })
}

/// A register is of no generation.
pub(crate) fn register_labels(runtime: &RuntimeRef) -> HashMap<String, String> {
    let mut labels: HashMap<_, _> = LABELS.of_runtime(runtime);
    labels.extend(runtime.fence.map(|fence| (FENCE.to_owned(), fence.to_string())));
    labels
}

/// What an instance takes, so that a list says it.
pub(crate) fn need_labels(need: Need) -> [(String, String); 2] {
    [(MEMORY.to_owned(), need.memory_mib.to_string()), (CPU.to_owned(), need.cpu_millis.to_string())]
}

/// `None` where an older Pilot did not say it.
pub(crate) fn need(labels: &HashMap<String, String>) -> Option<Need> {
    let number = |name: &str| labels.get(name)?.parse().ok();
    Some(Need { memory_mib: number(MEMORY)?, cpu_millis: number(CPU)? })
}

/// What a list call is to have; all labels of it.
pub(crate) type Filters = HashMap<String, Vec<String>>;

/// Everything of the installation.
pub(crate) fn owned_by(installation: &InstallationId) -> Filters {
    with(LABELS.of_installation(installation))
}

/// Everything of the runtime.
pub(crate) fn of_runtime(runtime: &RuntimeRef) -> Filters {
    with(LABELS.of_runtime(runtime))
}

fn with(labels: Vec<(String, String)>) -> Filters {
    let labels = labels.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    HashMap::from([("label".to_owned(), labels)])
}

/// Whose an object is, when its labels say so completely.
pub(crate) fn owner(labels: &HashMap<String, String>) -> Option<RuntimeRef> {
    LABELS.owner(|name| labels.get(name)).map(|owner| owner.runtime.under(None))
}

pub(crate) fn fence(labels: &HashMap<String, String>) -> Option<u64> {
    labels.get(FENCE)?.parse().ok()
}

pub(crate) fn generation(labels: &HashMap<String, String>) -> u64 {
    labels.get(LABELS.generation).and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// As people are told of it.
pub(crate) fn object<'a>((kind, name): (&'a str, &'a str)) -> Object<'a> {
    let removal = |kind: &str, name: &str| {
        let remove = format!("Remove that {kind} (`docker {kind} rm {name}`)");
        match kind {
            "container" => format!("Rename it (`docker rename {name} OTHER`). {remove}"),
            _ => remove,
        }
    };
    Object { kind, name, removal }
}

/// Passes when the object is this runtime's of this installation. Anything else is never touched.
pub(crate) fn must_own(
    kind: &str,
    name: &str,
    labels: &HashMap<String, String>,
    runtime: &RuntimeRef,
) -> Result<()> {
    object((kind, name)).must_be_of(runtime, owner(labels).as_ref())
}

#[cfg(test)]
mod tests {
    use contracts::ErrorCode;

    use super::*;

    fn runtime(installation: &str) -> RuntimeRef {
        RuntimeRef::new("rt-1".parse().unwrap(), installation.parse().unwrap())
    }

    #[test]
    fn only_complete_labels_of_the_same_installation_are_owned() {
        let ours = labels(&runtime("in-a"), 4);
        assert!(must_own("volume", "v", &ours, &runtime("in-a")).is_ok());
        let foreign = must_own("volume", "v", &ours, &runtime("in-b")).unwrap_err();
        assert_eq!(foreign.code, ErrorCode::ForeignObject);
        assert!(foreign.message.contains("in-a"));
        // A delete that is refused is not helped by another workspace.
        let action = foreign.action.unwrap();
        assert!(
            action.contains("`docker volume rm v`") && action.contains("pilot ws rm --forget"),
            "{action}"
        );
        assert!(!action.contains("create it again"), "{action}");
        assert!(
            must_own("volume", "v", &HashMap::new(), &runtime("in-a"))
                .unwrap_err()
                .message
                .contains("not made by Pilot")
        );
        assert_eq!(generation(&ours), 4);
    }

    #[test]
    fn a_register_is_told_from_a_home_and_an_object_says_the_fence_that_made_it() {
        let id = "rt-1".parse().unwrap();
        assert!(is_fence_register(&fence_register(&id, 12)) && is_register(&generation_register(&id, 12)));
        assert!(!is_register(&volume_name(&id)) && !is_register("pilot-rt-1-fence-of"));
        assert_eq!(fence(&labels(&runtime("in-a").under(Some(3)), 1)), Some(3));
        assert_eq!(fence(&labels(&runtime("in-a"), 1)), None);
    }
}
