//! Test support and the end-to-end tests over real parts.

pub mod fake_model;
pub mod keeper;
