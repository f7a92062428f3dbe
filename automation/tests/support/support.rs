//! What tests against the real Pulumi CLI share: a world of their own and a cloud to make things in.
//!
//! Use it with `#[path = "support/support.rs"] mod support;`, and allow Clippy's `unwrap_used` there: its
//! leave for tests ends at functions that are not tests themselves.

// Every test binary uses its own part.
#![allow(dead_code)]

pub mod cloud;
pub mod driver;
#[path = "keep_folder.rs"]
pub mod keep;
pub mod normal;
pub mod tools;
pub mod world;
