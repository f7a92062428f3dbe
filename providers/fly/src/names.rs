//! Names at Fly are made from the runtime's id, so that everything is found again without a memory.
//!
//! Only machines have metadata. An app says whose it is by the name of its network, and a volume is its
//! app's.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use contracts::{ErrorCode, RuntimeId};
use provider_api::{BootFile, ProviderError, Result, RuntimeRef};

const APP: &str = "pilot-";
const OF: &str = "-of-";

/// The keys of a machine's metadata.
pub(crate) const INSTALLATION: &str = "pilot_installation";
pub(crate) const RUNTIME: &str = "pilot_runtime";
pub(crate) const GENERATION: &str = "pilot_generation";

/// The one volume of an app. Its name is not unique: the oldest counts.
pub(crate) const VOLUME: &str = "home";
/// The one machine of an app.
pub(crate) const MACHINE: &str = "instance";

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
    Some(RuntimeRef { runtime_id: runtime.parse().ok()?, installation: installation.parse().ok()? })
}

pub(crate) fn metadata(runtime: &RuntimeRef, generation: u64) -> BTreeMap<String, String> {
    BTreeMap::from([
        (INSTALLATION.to_owned(), runtime.installation.to_string()),
        (RUNTIME.to_owned(), runtime.runtime_id.to_string()),
        (GENERATION.to_owned(), generation.to_string()),
    ])
}

pub(crate) fn owner(metadata: &BTreeMap<String, String>) -> Option<RuntimeRef> {
    Some(RuntimeRef {
        runtime_id: metadata.get(RUNTIME)?.parse().ok()?,
        installation: metadata.get(INSTALLATION)?.parse().ok()?,
    })
}

pub(crate) fn generation(metadata: &BTreeMap<String, String>) -> u64 {
    metadata.get(GENERATION).and_then(|text| text.parse().ok()).unwrap_or_default()
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
    format!("PILOT_BOOT_{hash}")
}

/// The refusal to touch what is not this runtime's.
pub(crate) fn foreign(kind: &str, name: &str, owner: Option<String>) -> ProviderError {
    let message = match owner {
        Some(owner) => format!("the {kind} {name} belongs to {owner}, so it is not touched"),
        None => format!("the {kind} {name} was not made by Pilot, so it is not touched"),
    };
    ProviderError::new(ErrorCode::ForeignObject, message)
        .with_action(format!("Remove that {kind} at Fly, or delete this workspace and create it again."))
}

/// Passes when the owner is this runtime of this installation.
pub(crate) fn must_own(
    kind: &str,
    name: &str,
    owner: Option<RuntimeRef>,
    runtime: &RuntimeRef,
) -> Result<()> {
    match owner {
        Some(owner) if owner == *runtime => Ok(()),
        other => {
            let owner =
                other.map(|owner| format!("{} of the installation {}", owner.runtime_id, owner.installation));
            Err(foreign(kind, name, owner))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> RuntimeRef {
        RuntimeRef {
            runtime_id: "rt-0123456789abcdef".parse().unwrap(),
            installation: "in-fedcba9876543210".parse().unwrap(),
        }
    }

    #[test]
    fn names_are_valid_at_fly_and_tell_their_owner() {
        let runtime = runtime();
        assert_eq!(app(&runtime.runtime_id), "pilot-rt-0123456789abcdef");
        assert_eq!(owner_by_network(&network(&runtime)), Some(runtime.clone()));
        assert_eq!(owner_by_network("default"), None);
        assert_eq!(owner(&metadata(&runtime, 3)), Some(runtime));
        let file = |content: &[u8]| BootFile { path: "a".to_owned(), content: content.to_vec() };
        let id = "rt-1".parse().unwrap();
        assert_ne!(secret(&id, &file(b"1")), secret(&id, &file(b"2")));
    }
}
