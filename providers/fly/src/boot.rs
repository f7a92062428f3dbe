//! Boot files as secrets of the app, which Fly writes as files at each boot. The API gives no secret
//! back, and what names one shows only its name.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use base64::Engine;
use contracts::{ErrorCode, RuntimeId};
use provider_api::{BootFile, ProviderError, Result};
use serde_json::{Map, Value, json};

use crate::{names, wire};

/// The instance user's home in the image; the volume is mounted there.
pub(crate) const HOME: &str = "/home/pilot";
/// Fly's init writes them as root; the instance's init gives them to its user before it goes on as that user.
const MODE: u32 = 0o400;

/// What one boot delivers.
pub(crate) struct Delivery {
    /// For the app's secrets: name to base64. Not for logs.
    pub values: Value,
    /// For the machine's configuration; names secrets and holds none.
    pub files: Value,
}

impl Delivery {
    pub fn of(runtime: &RuntimeId, files: &[BootFile]) -> Result<Self> {
        let (mut values, mut entries) = (Map::new(), Vec::new());
        for file in files {
            let is_below =
                Path::new(&file.path).components().all(|part| matches!(part, Component::Normal(_)));
            if file.path.is_empty() || !is_below {
                let message = format!("the boot file path {:?} leaves the home", file.path);
                return Err(ProviderError::new(ErrorCode::Internal, message));
            }
            let secret = names::secret(runtime, file);
            let encoded = base64::engine::general_purpose::STANDARD.encode(&file.content);
            values.insert(secret.clone(), encoded.into());
            entries.push(
                json!({"guest_path": format!("{HOME}/{}", file.path), "secret_name": secret, "mode": MODE}),
            );
        }
        Ok(Self { values: values.into(), files: entries.into() })
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
        let delivery = Delivery::of(&runtime, &[file(".config/key", "canary")]).unwrap();
        let entry = &delivery.files[0];
        assert_eq!(entry["guest_path"], "/home/pilot/.config/key");
        assert_eq!(delivery.values[entry["secret_name"].as_str().unwrap()], "Y2FuYXJ5");
        assert!(!delivery.files.to_string().contains("Y2FuYXJ5"));
        let other = Delivery::of(&runtime, &[file(".config/key", "other")]).unwrap();
        assert_ne!(delivery.files, other.files);
    }

    #[test]
    fn a_path_out_of_the_home_is_refused() {
        for path in ["", "/etc/passwd", "../x", ".config/../../x"] {
            assert!(Delivery::of(&"rt-1".parse().unwrap(), &[file(path, "")]).is_err(), "{path}");
        }
    }
}
