//! The orchestrator: turns workspace requests into real Pulumi stacks and running instances.
//!
//! One request, in the order of the modules: `http` takes it, `lifecycle` validates and commits it to the
//! `store`, `operations` runs it, `engine` compiles and applies its stack, `readiness` waits until the
//! instance answers, `reconcile` keeps looking afterwards. `rollouts` asks for the same operation of many.

pub mod http;

pub mod lifecycle;
pub mod store;

pub mod engine;
pub mod operations;
pub mod pushes;
mod readiness;
pub mod reconcile;
pub mod rollouts;
pub mod sweep;

pub mod backup;
pub mod migrate;
mod states;

pub mod boot;
pub mod data;
pub mod doctor;
pub mod exposure;
mod measured;
pub mod metrics;
pub mod server;
pub mod tools;
mod trace;
pub mod wiring;

pub use server::{Config, Running, start};
