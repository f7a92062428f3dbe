//! Operations on the engine host: every option, and projects with a program of their own, as on the CLI.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/hosted.rs"]
mod support;

#[path = "operations/death.rs"]
mod death;
#[path = "operations/downloads.rs"]
mod downloads;
#[path = "operations/flags.rs"]
mod flags;
#[path = "operations/parity.rs"]
mod parity;
#[path = "operations/projects.rs"]
mod projects;
#[path = "operations/selection.rs"]
mod selection;
#[path = "program/things.rs"]
#[allow(dead_code)]
mod things;
