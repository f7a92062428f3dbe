//! Ingress: the only part of Pilot that a browser or another machine talks to.
//!
//! It finds the workspace by host name or path, checks who asks, signs a statement for the instance
//! and streams the request there; what goes wrong becomes a problem document. It knows the
//! orchestrator only through `contracts`, never starts or stops anything, and keeps no state that a
//! restart may not lose: login codes and the route cache live in memory.
//!
//! Read in the order of a request: `server`, `service`, `host`, `route`, `auth`, `resolve`, `instance`.

mod server;
mod service;

mod host;
mod route;

mod auth;
mod cookies;
mod links;
mod origin;
mod session;

mod endpoint;
mod resolve;

mod assertion;
mod instance;
mod wake;

mod pages;

use std::net::SocketAddr;

use contracts::{InstallationId, Problem};

pub use server::Running;

/// Everything a gateway needs to know; there is no other source of settings.
#[derive(Clone)]
pub struct Config {
    pub listen: SocketAddr,
    /// Workspaces are served on `<slug>.<domain>`, the control API on the domain itself.
    pub domain: String,
    /// Base URL of the orchestrator.
    pub orchestrator: url::Url,
    /// May only resolve slugs.
    pub orchestrator_token: String,
    /// Opens every workspace and mints login links.
    pub admin_token: String,
    /// Signs session cookies.
    pub session_key: [u8; 32],
    /// Ed25519, PKCS#8 PEM: signs what the gateway says to instances.
    pub assertion_key_pem: String,
    pub installation: InstallationId,
}

/// Opens the listener and serves until [`Running::shutdown`].
pub async fn start(config: Config) -> Result<Running, Problem> {
    server::start(config).await
}

#[cfg(test)]
mod tests;
