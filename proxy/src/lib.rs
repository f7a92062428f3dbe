//! One streaming reverse-proxy hop: HTTP, server-sent events and WebSocket.
//!
//! The gateway and the instance's backend both forward with [`Forwarder`]; what a request may do and
//! which headers a hop adds is theirs to decide. This crate never buffers a body, follows a redirect,
//! retries what was sent, or knows of workspaces and logins.

mod body;
mod forward;
mod headers;
mod problem;
mod upgrade;

pub use body::{Body, BoxError, body, empty, full};
pub use forward::{ForwardError, Forwarder, Target, TlsConfig};
pub use headers::{REQUEST_ID, request_id, strip_forwarding, strip_hop_by_hop};
pub use problem::problem_response;
pub use upgrade::wants_upgrade;

#[cfg(test)]
mod test_upstream;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
#[cfg(test)]
mod upgrade_tests;
