//! The account's own registry, served on loopback: `127.0.0.1:PORT/ACCOUNT/NAME` in place of `registry.cloudflare.com/ACCOUNT/NAME`.
//!
//! Its logins are those that the API gives, each for the account's names alone. What is named so was pushed there, or there is no
//! such image; the local Docker engine pulls it from there when a container is made from it.

use sim_registry::{Options, Registry, Scheme, User};
use uuid::Uuid;

/// As the API names the user of every login.
const USER: &str = "v1";

pub struct AccountRegistry {
    served: Registry,
    account: String,
}

/// What somebody pushes and pulls with.
pub struct Login {
    pub username: String,
    pub password: String,
}

impl AccountRegistry {
    pub async fn start(account: &str) -> std::io::Result<Self> {
        let options = Options { scheme: Scheme::Basic, users: Vec::new(), public: Vec::new() };
        Ok(Self { served: Registry::start(options).await?, account: account.to_owned() })
    }

    /// As references begin.
    pub fn host(&self) -> String {
        self.served.host()
    }

    /// A new one.
    pub fn login(&self) -> Login {
        let password = Uuid::new_v4().simple().to_string();
        let of = format!("{}/", self.account);
        self.served.admit(User { name: USER.to_owned(), password: password.clone(), of });
        Login { username: USER.to_owned(), password }
    }

    /// Whether a reference is of this registry, whatever is there.
    pub fn is_of(&self, image: &str) -> bool {
        self.path(image).is_some()
    }

    /// Whether it was pushed.
    pub fn has(&self, image: &str) -> bool {
        let Some(path) = self.path(image) else { return false };
        let found = match path.split_once('@') {
            Some((name, digest)) => self.served.resolve(name, digest),
            None => path.rsplit_once(':').and_then(|(name, tag)| self.served.resolve(name, tag)),
        };
        found.is_some()
    }

    /// A repository of the account, with tag or digest.
    fn path<'a>(&self, image: &'a str) -> Option<&'a str> {
        let path = image.strip_prefix(&self.served.host())?.strip_prefix('/')?;
        path.strip_prefix(&self.account)?.starts_with('/').then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_named_by_it_was_pushed_there_or_is_none() {
        let registry = AccountRegistry::start("acc").await.unwrap();
        let host = registry.host();
        let digest = registry.served.seed("acc/team/app", "1", "amd64");
        for there in [format!("{host}/acc/team/app:1"), format!("{host}/acc/team/app@{digest}")] {
            assert!(registry.is_of(&there) && registry.has(&there), "{there}");
        }
        for missing in ["acc/team/app:2", "acc/team/app@sha256:0", "acc/other:1"] {
            let image = format!("{host}/{missing}");
            assert!(registry.is_of(&image) && !registry.has(&image), "{image}");
        }
        for elsewhere in [format!("{host}/account/app:1"), "registry.cloudflare.com/acc/app:1".to_owned()] {
            assert!(!registry.is_of(&elsewhere), "{elsewhere}");
        }
    }
}
