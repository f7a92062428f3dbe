//! Kills, pauses and starves what Pilot is made of, and asks a witness that is not Pilot what is true then. `docs/chaos.md`
//! says what for, and how to read what it prints.

pub mod options;

pub mod api;
pub mod plan;
pub mod round;
pub mod world;

mod clients;
mod faults;
pub mod ledger;
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what tests start with, too")]
#[path = "../../../automation/tests/support/postgres.rs"]
mod postgres;
mod process;
pub mod server;
pub mod witness;

mod disk;
mod kills;
mod races;
mod zombies;

pub mod invariants;
mod lasting;
pub mod report;
mod run;

pub use run::run;
