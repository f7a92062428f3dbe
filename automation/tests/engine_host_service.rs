//! What the engine host promises about stacks that a Pulumi service keeps: it does all of it itself, dies without
//! loss, takes turns with the CLI, and keeps tokens to the runs that brought them.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/hosted_served.rs"]
mod support;

#[path = "served/alone.rs"]
mod alone;
#[path = "served/ends.rs"]
mod ends;
#[path = "served/forms.rs"]
mod forms;
#[path = "served/kills.rs"]
mod kills;
#[path = "host/life.rs"]
#[allow(dead_code)]
mod life;
#[path = "program/things.rs"]
#[allow(dead_code)]
mod things;
#[path = "served/tokens.rs"]
mod tokens;
#[path = "host/turns.rs"]
mod turns;
