//! A runtime's spec and its provider's declarations become one [`Stack`], which is either run inline
//! through `automation` or rendered as a Pulumi YAML project that an SRE can `pulumi up`.
//!
//! Pure: no I/O, no clock, no randomness. The same input gives the same stack, and both forms of a stack
//! give the same URNs, inputs and state.

pub mod compile;
pub mod inline;
pub mod yaml;

pub use compile::{CompileError, PROJECT, Stack, compile};
pub use inline::Inline;
pub use yaml::{Location, render};
