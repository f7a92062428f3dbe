//! Everything about workspaces and stacks that is no operation, on the engine host as on the CLI.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/hosted.rs"]
mod support;

#[path = "workspace/config.rs"]
mod config;
#[path = "workspace/errors.rs"]
mod errors;
#[path = "workspace/place.rs"]
mod place;
#[path = "workspace/secrecy.rs"]
mod secrecy;
#[path = "workspace/settings.rs"]
mod settings;
#[path = "workspace/stacks.rs"]
mod stacks;
#[path = "workspace/state.rs"]
mod state;
