//! Inline programs on the engine host: what a program asks for is what state and cloud show, as on the CLI.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/hosted.rs"]
mod support;

#[path = "program/program.rs"]
mod program;
use program::things;
