//! What every provider must do: one list of cases, [`CASES`], that a provider runs against itself.
//!
//! A provider's world makes a [`Bench`] for each case: an installation of its own in a cloud, folder or
//! simulator of its own. [`conformance_tests!`](crate::conformance_tests) turns the cases into tests, and
//! [`check`] runs the same cases for `pilot provider check`. The witness of what exists outside is the
//! world's own [`Hands`], never the provider.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod bench;
mod case;
mod check;
mod logbook;
mod stack;

mod changes;
mod extras;
mod faults;
mod fences;
mod lifecycle;
mod offers;
mod owners;
mod resources;
mod secrets;
mod shared;
mod snapshots;

pub use bench::{Bench, CanaryBoot, Faults, Hands, NewBench, eventually, new_bench, run};
pub use case::{CASES, Case, Needs, Running, prove, prove_lack};
pub use check::{Checked, Verdict, check};
pub use stack::Stack;
