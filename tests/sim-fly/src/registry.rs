//! The images that machines are made from: what a name means now, which another push may change.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Answer, Refusal};

/// The vendor's own; its names are `registry.fly.io/APP:TAG`.
const OWN: &str = "registry.fly.io/";

/// Names to digests. Shared by all its clones.
#[derive(Debug, Clone, Default)]
pub struct Registry(Arc<Mutex<BTreeMap<String, String>>>);

impl Registry {
    /// This name means the image with this digest from now on.
    pub fn push(&self, name: &str, digest: &str) {
        self.names().insert(name.to_owned(), digest.to_owned());
    }

    /// The digest of the image that a reference means. Empty where any name is that of an image.
    ///
    /// # Errors
    /// When nobody has pushed it.
    pub fn resolve(&self, reference: &str) -> Answer<String> {
        let missing = || Refusal::bad(format!("could not find image \"{reference}\""));
        if reference.strip_prefix(OWN).is_some_and(|rest| rest.contains('/')) {
            return Err(missing());
        }
        let names = self.names();
        if let Some((path, digest)) = reference.split_once('@') {
            // What a tag meant before is kept.
            let is_of = |name: &String| name.strip_prefix(path).is_some_and(|tag| tag.starts_with(':'));
            let known = names.is_empty() || names.keys().any(is_of);
            return if known { Ok(digest.to_owned()) } else { Err(missing()) };
        }
        match names.get(reference) {
            Some(digest) => Ok(digest.clone()),
            None if names.is_empty() => Ok(String::new()),
            None => Err(missing()),
        }
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_what_was_pushed_last_and_a_digest_is_for_ever() {
        let registry = Registry::default();
        assert_eq!(registry.resolve("anything:1").unwrap(), "");
        registry.push("registry.fly.io/a:1", "sha256:one");
        registry.push("registry.fly.io/a:1", "sha256:two");
        assert_eq!(registry.resolve("registry.fly.io/a:1").unwrap(), "sha256:two");
        assert_eq!(registry.resolve("registry.fly.io/a@sha256:one").unwrap(), "sha256:one");
        for missing in ["registry.fly.io/a:2", "registry.fly.io/b@sha256:one", "registry.fly.io/a/b:1"] {
            assert!(registry.resolve(missing).is_err(), "{missing}");
        }
    }
}
