//! Serves any set of providers to the Pulumi engine as one package, `pilot`.
//!
//! The same server is the plugin `pulumi-resource-pilot` and, attached in process, the orchestrator's
//! provider. It knows the engine's wire and the traits of `provider-api`; it knows no cloud.

pub mod calls;
pub mod registry;
pub mod server;

mod authority;
mod config;
mod configured;
mod convert;
mod detached;
mod failure;
mod fences;
mod lookup;
mod ownership;
mod rpc;
mod schema;

pub use authority::{Authority, Expiry};
pub use fences::Fenced;
pub use registry::Registry;
pub use server::{Server, run_plugin};

/// The package name in every resource type.
pub const PACKAGE: &str = "pilot";
