//! What may be asked of a workspace, and what its states are. Every change is durable before it begins.

pub mod request;
pub mod service;
pub mod state;

pub use service::Lifecycle;
