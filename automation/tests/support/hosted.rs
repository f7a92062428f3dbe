//! As `support.rs`, for a test binary whose worlds run on the host.
//!
//! Use it with `#[path = "support/hosted.rs"] mod support;`: modules with tests are the same for both.

// Every test binary uses its own part.
#![allow(dead_code)]

pub mod cloud;
#[path = "driver_host.rs"]
pub mod driver;
#[path = "keep_folder.rs"]
pub mod keep;
pub mod normal;
pub mod tools;
pub mod world;
