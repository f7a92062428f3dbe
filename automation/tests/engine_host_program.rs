//! Inline programs on the engine host: what a program asks for is what state and cloud show, as on the CLI.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/hosted.rs"]
mod support;

#[path = "program/components.rs"]
mod components;
#[path = "program/failures.rs"]
mod failures;
#[path = "program/functions.rs"]
mod functions;
#[path = "program/hooks.rs"]
mod hooks;
#[path = "program/options.rs"]
mod options;
#[path = "program/packages.rs"]
mod packages;
#[path = "program/scale.rs"]
mod scale;
#[path = "program/settings.rs"]
mod settings;
#[path = "program/things.rs"]
mod things;
#[path = "program/transforms.rs"]
mod transforms;
#[path = "program/values.rs"]
mod values;
