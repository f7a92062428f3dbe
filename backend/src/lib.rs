//! What every instance serves, whatever runs behind it: the `RuntimeAdapter` interface, its
//! implementations and the HTTP routes over them.
//!
//! A request enters at [`app()`], proves with its assertion that it comes from the gateway
//! ([`Verifier`]), and reaches OpenCode through an adapter: [`LocalAdapter`] in an instance,
//! [`MockAdapter`] for UI work and tests. This crate starts no process, reads no configuration and
//! decides nothing about users: that is the init's and the gateway's part.

mod app;
mod assertion;

mod path;
mod routes;
mod ssh;

mod adapter;
mod local;
mod mock;
mod status;

pub use adapter::RuntimeAdapter;
pub use app::app;
pub use assertion::{Refusal, Verifier};
pub use local::{LocalAdapter, OpenCodeTarget};
pub use mock::MockAdapter;
pub use ssh::{SshConnection, SshServer};
pub use status::Status;

#[cfg(test)]
mod testing;
