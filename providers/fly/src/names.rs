//! Names at Fly are made from the runtime's id, so that everything is found again without a memory.
//!
//! Only machines have metadata. An app says whose it is by the name of its network, and a volume is its
//! app's.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use contracts::RuntimeId;
use provider_api::{BootFile, Result, RuntimeRef};
use provider_kit::owner::{LabelNames, Object, Owner};

const APP: &str = "pilot-";
const OF: &str = "-of-";

/// The keys of a machine's metadata.
pub(crate) const LABELS: LabelNames = LabelNames {
    installation: "pilot_installation",
    runtime: "pilot_runtime",
    generation: "pilot_generation",
    fence: None,
};
/// What the image was called, and by what digest it stands in its place since, see [`crate::machine::body_of`].
pub(crate) const IMAGE: &str = "pilot_image";
pub(crate) const PINNED: &str = "pilot_image_exact";
/// Before a fence, in a key. Each fence is a key of its own and the highest counts, so that of two programs that
/// write at the same moment neither can lower it: Fly merges keys and compares nothing.
const FENCE: &str = "pilot_fence_";
/// What is empty would remove the key.
const SEEN: &str = "seen";

/// Before the names of secrets that are boot files.
const BOOT: &str = "PILOT_BOOT_";

/// The one volume of an app. Its name is not unique: the oldest counts.
pub(crate) const VOLUME: &str = "home";
/// The one machine of an app.
pub(crate) const MACHINE: &str = "instance";

/// The machine that makes a home fit for a fork, and the key by which it is found. It is no instance.
pub(crate) const FORK: &str = "fork";
pub(crate) const FORK_OF: &str = "pilot_fork_of";

/// App names are unique among all of the vendor's customers.
pub(crate) fn app(runtime: &RuntimeId) -> String {
    format!("{APP}{runtime}")
}

pub(crate) fn network(runtime: &RuntimeRef) -> String {
    format!("{APP}{}{OF}{}", runtime.runtime_id, runtime.installation)
}

/// Whose app has this network; `None` for one that Pilot did not make.
pub(crate) fn owner_by_network(network: &str) -> Option<RuntimeRef> {
    let (runtime, installation) = network.strip_prefix(APP)?.split_once(OF)?;
    Some(RuntimeRef::new(runtime.parse().ok()?, installation.parse().ok()?))
}

pub(crate) fn metadata(runtime: &RuntimeRef, generation: u64) -> BTreeMap<String, String> {
    let mut metadata: BTreeMap<_, _> = LABELS.of(&Owner { runtime: runtime.clone(), generation });
    metadata.extend(runtime.fence.map(seen));
    metadata
}

/// The highest fence that these tell of.
pub(crate) fn fence(metadata: &BTreeMap<String, String>) -> Option<u64> {
    metadata.keys().filter_map(|key| key.strip_prefix(FENCE)?.parse().ok()).max()
}

/// Key and value that tell of this fence.
pub(crate) fn seen(fence: u64) -> (String, String) {
    (format!("{FENCE}{fence}"), SEEN.to_owned())
}

/// What tells of this fence, and removes the lower ones that are there.
pub(crate) fn raised(metadata: &BTreeMap<String, String>, fence: u64) -> BTreeMap<String, Option<String>> {
    let lower = metadata.keys().filter(|key| key.starts_with(FENCE)).map(|key| (key.clone(), None));
    let (key, value) = seen(fence);
    lower.chain([(key, Some(value))]).collect()
}

pub(crate) fn owner(metadata: &BTreeMap<String, String>) -> Option<RuntimeRef> {
    LABELS.owner(|name| metadata.get(name)).map(|owner| owner.runtime)
}

pub(crate) fn generation(metadata: &BTreeMap<String, String>) -> u64 {
    metadata.get(LABELS.generation).and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The secret that holds a boot file. It is named by its content, so a secret never changes, whoever
/// writes it and in whichever order, and a machine tells by names which files it has.
pub(crate) fn secret(runtime: &RuntimeId, file: &BootFile) -> String {
    let mut all = Vec::new();
    for part in [runtime.as_str().as_bytes(), file.path.as_bytes(), &file.content] {
        all.extend((part.len() as u64).to_le_bytes());
        all.extend(part);
    }
    let hash = digest(&SHA256, &all);
    let hash: String = hash.as_ref()[..12].iter().map(|byte| format!("{byte:02X}")).collect();
    format!("{BOOT}{hash}")
}

pub(crate) fn is_of_boot(secret: &str) -> bool {
    secret.starts_with(BOOT)
}

/// As people are told of it.
pub(crate) fn object<'a>(kind: &'a str, name: &'a str) -> Object<'a> {
    Object { kind, name, removal: |kind, _| format!("Remove that {kind} at Fly") }
}

/// Passes when the owner is this runtime of this installation.
pub(crate) fn must_own(
    kind: &str,
    name: &str,
    owner: Option<RuntimeRef>,
    runtime: &RuntimeRef,
) -> Result<()> {
    object(kind, name).must_be_of(runtime, owner.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> RuntimeRef {
        RuntimeRef::new("rt-0123456789abcdef".parse().unwrap(), "in-fedcba9876543210".parse().unwrap())
    }

    #[test]
    fn names_are_valid_at_fly_and_tell_their_owner() {
        let runtime = runtime();
        assert_eq!(app(&runtime.runtime_id), "pilot-rt-0123456789abcdef");
        assert!(owner_by_network(&network(&runtime)).unwrap().is(&runtime));
        assert!(owner_by_network("default").is_none());
        assert!(owner(&metadata(&runtime, 3)).unwrap().is(&runtime));
        let file = |content: &[u8]| BootFile { path: "a".to_owned(), content: content.to_vec() };
        let id = "rt-1".parse().unwrap();
        assert_ne!(secret(&id, &file(b"1")), secret(&id, &file(b"2")));
    }

    #[test]
    fn the_highest_fence_counts_in_whichever_order_two_programs_write() {
        let before = metadata(&runtime().under(Some(4)), 1);
        assert_eq!((fence(&before), fence(&metadata(&runtime(), 1))), (Some(4), None));
        for order in [[5, 16], [16, 5]] {
            let mut now = before.clone();
            for written in order {
                for (key, value) in raised(&before, written) {
                    match value {
                        Some(value) => now.insert(key, value),
                        None => now.remove(&key),
                    };
                }
            }
            assert_eq!(fence(&now), Some(16), "{now:?}");
            assert!(!now.contains_key(&seen(4).0), "what is lower goes");
        }
    }
}
