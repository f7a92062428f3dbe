//! What may be asked of a workspace, and what its states are. Every change is durable before it begins.

mod changes;
mod commands;
mod disk;
mod egress;
mod imports;
mod kept;
mod keys;
mod offered;
mod reaches;
pub mod request;
mod rollouts;
pub mod service;
mod shared;
mod snapshots;
pub mod state;
mod strays;
mod usage;
pub mod watch;

pub use service::Lifecycle;
