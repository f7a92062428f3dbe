//! As `support.rs`, for a test binary whose worlds keep their stacks in a Pulumi service.

// Every test binary uses its own part.
#![allow(dead_code)]

pub mod cloud;
pub mod driver;
#[path = "keep_service.rs"]
pub mod keep;
pub mod normal;
pub mod service;
pub mod tools;
pub mod world;
