//! Operations of the CLI driver: every option, projects with a program of their own, and every way in
//! which a process can die.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/support.rs"]
mod support;

#[path = "operations/death.rs"]
mod death;
#[path = "operations/downloads.rs"]
mod downloads;
#[path = "operations/flags.rs"]
mod flags;
#[path = "operations/help.rs"]
mod help;
#[path = "operations/kill.rs"]
mod kill;
#[path = "operations/parity.rs"]
mod parity;
#[path = "operations/processes.rs"]
mod processes;
#[path = "operations/projects.rs"]
mod projects;
#[path = "operations/selection.rs"]
mod selection;
#[path = "program/things.rs"]
#[allow(dead_code)]
mod things;
