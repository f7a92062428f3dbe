//! What a program can ask for. The same on every engine.

mod components;
mod failures;
mod functions;
mod hooks;
mod options;
mod packages;
mod scale;
mod settings;
pub mod things;
mod transforms;
mod values;
