//! The images that machines are made from: what a name means now, which another push may change.
//!
//! They are pushed by tests in one call, or by clients over the wire of registries to one that is served on loopback, with the
//! API's tokens as its passwords. What begins with that one's address is what was pushed there, and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use sim_registry::{Options, Scheme, User};

use crate::Token;
use crate::error::{Answer, Refusal};
use crate::ids;

/// The vendor's own; its names are `registry.fly.io/APP:TAG`.
const OWN: &str = "registry.fly.io/";

/// The user of every token, as the vendor's own program has it.
const USER: &str = "x";

/// Names to digests. Shared by all its clones.
#[derive(Clone, Default)]
pub struct Registry {
    names: Arc<Mutex<BTreeMap<String, String>>>,
    served: Arc<OnceLock<sim_registry::Registry>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("names", &self.names()).field("host", &self.host()).finish()
    }
}

impl Registry {
    /// This name means the image with this digest from now on.
    pub fn push(&self, name: &str, digest: &str) {
        self.names().insert(name.to_owned(), digest.to_owned());
    }

    /// Takes pushes of those who have one of these tokens, if it does not already.
    pub(crate) async fn serve(&self, tokens: &[Token]) -> std::io::Result<()> {
        if self.served.get().is_none() {
            let password = |token: &Token| token.secret.trim_start_matches("FlyV1 ").to_owned();
            let users = tokens.iter().map(|token| User::everywhere(USER, &password(token))).collect();
            let options = Options { scheme: Scheme::Basic, users, public: Vec::new() };
            let _ = self.served.set(sim_registry::Registry::start(options).await?);
        }
        Ok(())
    }

    /// Where it takes pushes, as references begin.
    pub fn host(&self) -> Option<String> {
        self.served.get().map(sim_registry::Registry::host)
    }

    /// What the vendor pulls an image with; `None` where it is not of the registry that is served.
    pub(crate) fn login_for(&self, reference: &str) -> Option<(String, String)> {
        let served = self.served.get()?;
        reference.strip_prefix(&served.host())?.strip_prefix('/')?;
        let password = ids::nonce();
        served.admit(User::everywhere(USER, &password));
        Some((USER.to_owned(), password))
    }

    /// What a reference means at the registry that is served; `None` where it is of none such.
    fn pushed(&self, reference: &str) -> Option<Option<String>> {
        let served = self.served.get()?;
        let path = reference.strip_prefix(&served.host())?.strip_prefix('/')?;
        let (app, digest) = match path.split_once('@') {
            Some((app, digest)) => (app, digest),
            None => path.split_once(':').unwrap_or((path, "latest")),
        };
        Some(served.resolve(app, digest).filter(|_| !app.contains('/')))
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
        if let Some(pushed) = self.pushed(reference) {
            return pushed.ok_or_else(missing);
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
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_names_the_served_registry_was_pushed_there_or_is_refused() {
        let registry = Registry::default();
        registry.serve(&[]).await.unwrap();
        let host = registry.host().unwrap();
        assert!(registry.resolve(&format!("{host}/acme:1")).is_err(), "nothing was pushed");
        let served = registry.served.get().unwrap();
        let digest = served.seed("acme", "1", "amd64");
        served.seed("acme/below", "1", "amd64");
        for reference in [format!("{host}/acme:1"), format!("{host}/acme@{digest}")] {
            assert_eq!(registry.resolve(&reference).unwrap(), digest);
        }
        for missing in ["acme:2", "acme@sha256:0", "acme/below:1", "other:1"] {
            assert!(registry.resolve(&format!("{host}/{missing}")).is_err(), "{missing}");
        }
    }

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
