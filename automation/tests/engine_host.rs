//! What only the engine host has to promise: it dies and nothing is lost, it takes turns with the CLI, and
//! those who share its process do not see each other.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/hosted.rs"]
mod support;

#[path = "host/crash.rs"]
mod crash;
#[path = "host/damage.rs"]
mod damage;
#[path = "host/install.rs"]
mod install;
#[path = "host/kept.rs"]
mod kept;
#[path = "host/kills.rs"]
mod kills;
#[path = "host/life.rs"]
mod life;
#[path = "support/postgres.rs"]
mod postgres;
#[path = "host/recycle.rs"]
mod recycle;
#[path = "support/s3.rs"]
mod s3;
#[path = "host/sharing.rs"]
mod sharing;
#[path = "program/things.rs"]
#[allow(dead_code)]
mod things;
#[path = "host/turns.rs"]
mod turns;
