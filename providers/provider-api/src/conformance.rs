//! What every provider must do: one list of cases, [`CASES`], that a provider runs against itself.
//!
//! A provider's world makes a [`Fixture`] for each case: an installation of its own in a cloud, folder or
//! simulator of its own. [`conformance_tests!`](crate::conformance_tests) turns the cases into tests, and
//! [`check`] runs the same cases for `pilot provider check`. The witness of what exists outside is the
//! world's own [`Backdoor`], never the provider.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

mod case;
mod check;
mod fixture;
pub mod live;
mod logbook;
mod stack;

mod changes;
mod extras;
mod faults;
mod fences;
mod images;
mod lifecycle;
mod offers;
mod owners;
mod resources;
mod secrets;
mod shared;
mod snapshots;
mod unwell;

pub use case::{CASES, Case, Requires, Running, assert_lacks, run_case};
pub use check::{Checked, Verdict, check};
pub use fixture::{
    Backdoor, CanaryBootFiles, Faults, Fixture, NewFixture, NewPushable, PrivateImage, Pushable, Registry,
    empty_archive, eventually, new_fixture, run,
};
pub use stack::Stack;
