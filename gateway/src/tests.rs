//! The gateway over real sockets, between a fake orchestrator and a fake instance.

pub mod keys;
mod world;

mod errors;
mod headers;
mod lifecycle;
mod login;
mod resolving;
mod streams;
