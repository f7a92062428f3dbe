//! Logins at the registries that images are pulled from.
//!
//! A module gets them beside its boot files, by its configuration. A login is a credential: it must never be an input, an
//! output, a label, a log line or a part of an error, and it is asked for anew each time, since its operator may change it.

use async_trait::async_trait;

use crate::error::Result;

/// What somebody is to a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A name, and a password or an access token in place of one.
    Password {
        /// As the registry knows it.
        username: String,
        /// Secret.
        password: String,
    },
    /// A token that the registry itself has given for the name and the password.
    IdentityToken(String),
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(...)")
    }
}

/// Where a module gets the logins of its operator.
#[async_trait]
pub trait RegistryLogins: Send + Sync {
    /// That for a repository, named as a reference to an image names it, with its registry and without tag and digest:
    /// `ghcr.io/team/app`, `127.0.0.1:5000/app`. `None` where images are pulled without one.
    async fn login(&self, repository: &str) -> Result<Option<Login>>;
}

/// For those who have none: what everybody may pull is pulled.
pub struct NoLogins;

#[async_trait]
impl RegistryLogins for NoLogins {
    async fn login(&self, _repository: &str) -> Result<Option<Login>> {
        Ok(None)
    }
}
