//! What may be asked of a workspace, and what its states are. Every change is durable before it begins.

mod changes;
mod imports;
mod kept;
pub mod request;
mod rollouts;
pub mod service;
pub mod state;
mod usage;
pub mod watch;

pub use service::Lifecycle;
