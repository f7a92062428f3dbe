//! What workspaces and stacks do that is no operation. The same on every engine.

mod config;
mod errors;
pub mod place;
mod secrecy;
mod settings;
mod stacks;
mod state;
