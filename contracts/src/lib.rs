//! What every part of Pilot agrees on: names, identity, capabilities, health, the lifecycle API's
//! types and the error codes.
//!
//! A leaf crate: it depends on nothing else of ours and does no I/O. JSON names are `camelCase`.

pub mod boot;
pub mod disk;
pub mod egress;
pub mod endpoint;
pub mod identity;
pub mod ids;
pub mod image;

pub mod exec;
pub mod operation;
pub mod plan;
pub mod rollout;
pub mod secrets;
pub mod snapshot;
pub mod ssh;
pub mod stack;
pub mod stray;
pub mod updates;
pub mod usage;
pub mod why;
pub mod workspace;

pub mod error;
pub mod problem;

pub mod assertion;
pub mod hash;
pub mod headers;
pub mod network;

pub use error::{Code, ErrorCode};
pub use ids::{
    InstallationId, OperationId, ProviderName, RolloutId, RuntimeId, Slug, WorkspaceId, WorkspaceRef,
};
pub use problem::Problem;
