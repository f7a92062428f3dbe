//! Cloudflare's API as Pilot and `wrangler` use it, on this machine: what is deployed really runs.
//!
//! Scripts run in Cloudflare's own `workerd`, with Durable Objects on the local disk; their containers run
//! on the local Docker engine. What exists is written, with fsync, to a journal before an answer goes out:
//! the journal is the witness of tests, and a restart continues from it. Faults are ordered over a port of
//! their own. Nothing here knows Pilot: it stands for the outside world.

pub mod options;
mod registry;
mod simulator;

mod call;
mod envelope;
mod fault;
mod gate;
mod limit;

mod cloud;
mod journal;
mod objects;

mod admin;
mod api;
mod edge;

mod capnp;
mod machines;
mod workers;

pub use call::{Call, Surface};
pub use fault::{Fault, Kind};
pub use options::Options;
pub use simulator::{Simulator, Urls};
