//! Everything about workspaces and stacks that is no operation, on the engine host as on the CLI.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/hosted.rs"]
mod support;

#[path = "workspace/workspace.rs"]
mod workspace;
use workspace::place;
