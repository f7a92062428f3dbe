//! Pilot as its users meet it: the real `pilot serve`, real Pulumi, OpenCode, git and Docker. Only the
//! model is a fake, because a real one has no place in a test.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[path = "../../../automation/tests/support/postgres.rs"]
mod postgres;
mod support;

mod advice;
mod api;
mod backup;
mod bad_input;
mod browser;
mod clouds;
mod cut_off;
mod dashboard;
mod deletion;
mod doctor;
mod elsewhere;
mod exec;
mod fake_cloud;
mod faults;
mod forks;
mod full;
mod interrupted;
mod kept;
mod life;
mod lists;
mod lost;
mod moved;
mod push;
mod replicas;
mod room;
mod snapshots;
mod ssh;
mod stack_export;
mod stack_import;
mod telemetry;
mod updates;
mod upgrade;
