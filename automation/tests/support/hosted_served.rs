//! As `served.rs`, for a test binary whose worlds run on the host.

// Every test binary uses its own part.
#![allow(dead_code)]

pub mod cloud;
#[path = "driver_host.rs"]
pub mod driver;
#[path = "keep_service.rs"]
pub mod keep;
pub mod normal;
pub mod service;
pub mod tools;
pub mod world;
