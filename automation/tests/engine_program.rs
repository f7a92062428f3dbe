//! Inline programs against the real engine: what a program asks for is what state and cloud show.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/support.rs"]
mod support;

#[path = "program/program.rs"]
mod program;
use program::things;
