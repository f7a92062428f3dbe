//! Pulumi's wire: the types and services of `proto/`, and how every gRPC endpoint here is set up.

#[cfg(any(feature = "cli", feature = "inline"))]
mod generated;

#[cfg(any(feature = "cli", feature = "inline"))]
pub use generated::*;

mod structure;

pub use structure::{Kind, ListValue, Struct, Value};

/// The engine's own limit. tonic's default of 4 MiB would refuse large programs.
pub const MAX_MESSAGE: usize = 400 << 20;

/// The type of the resource that every stack has at its root.
pub const STACK_TYPE: &str = "pulumi:pulumi:Stack";
