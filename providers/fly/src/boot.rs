//! Boot files as secrets of the app, which Fly writes as files at each boot. The API gives no secret
//! back, and what names one shows only its name. No document says whether Fly writes files before it mounts the volume, and those
//! below the home would be under it then; so each file is written beside the home as well, from where the instance takes it.

use std::collections::BTreeSet;

use base64::Engine;
use contracts::RuntimeId;
use contracts::boot::HOME;
use provider_api::BootFile;
use serde_json::{Map, Value, json};

use crate::{names, wire};

/// Fly's init writes them as root; the instance's init gives them to its user before it goes on as that user.
const MODE: u32 = 0o400;

/// Of the root file system, which is new at each boot, and of root.
pub(crate) const FOLDER: &str = "/opt/pilot/boot";

/// What one boot delivers.
pub(crate) struct Delivery {
    /// For the app's secrets: name to base64. Not for logs.
    pub values: Value,
    /// For the machine's configuration; names secrets and holds none.
    pub files: Value,
}

impl Delivery {
    pub fn of(runtime: &RuntimeId, files: &[BootFile]) -> Self {
        let (mut values, mut entries) = (Map::new(), Vec::new());
        for file in files {
            let secret = names::secret(runtime, file);
            let encoded = base64::engine::general_purpose::STANDARD.encode(&file.content);
            values.insert(secret.clone(), encoded.into());
            // Images of before look into the home alone.
            entries.extend([FOLDER, HOME].map(
                |folder| json!({"guest_path": format!("{folder}/{}", file.path), "secret_name": secret, "mode": MODE}),
            ));
        }
        Self { values: values.into(), files: entries.into() }
    }

    /// Whether the machine's last boot delivered just this.
    pub fn is_in(&self, machine: &wire::Machine) -> bool {
        let config = machine.config().unwrap_or_default();
        let has: BTreeSet<String> = config.files.into_iter().filter_map(|file| file.secret_name).collect();
        let wanted = self.values.as_object().into_iter().flat_map(Map::keys).cloned();
        has == wanted.collect()
    }

    /// Whether this secret is that of a boot file, and of none of these.
    pub fn has_left(&self, secret: &str) -> bool {
        names::is_of_boot(secret) && self.values.get(secret).is_none()
    }

    pub fn is_empty(&self) -> bool {
        self.values.as_object().is_none_or(Map::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &str) -> BootFile {
        BootFile { path: path.to_owned(), content: content.as_bytes().to_vec() }
    }

    #[test]
    fn a_file_becomes_a_secret_and_an_entry_that_only_names_it() {
        let runtime = "rt-1".parse().unwrap();
        let delivery = Delivery::of(&runtime, &[file(".config/key", "canary")]);
        let entry = &delivery.files[0];
        assert_eq!(entry["guest_path"], "/opt/pilot/boot/.config/key");
        assert_eq!(delivery.files[1]["guest_path"], "/home/pilot/.config/key");
        assert_eq!(delivery.files[1]["secret_name"], entry["secret_name"]);
        assert_eq!(delivery.values[entry["secret_name"].as_str().unwrap()], "Y2FuYXJ5");
        assert!(!delivery.files.to_string().contains("Y2FuYXJ5"));
        let other = Delivery::of(&runtime, &[file(".config/key", "other")]);
        assert_ne!(delivery.files, other.files);
    }
}
