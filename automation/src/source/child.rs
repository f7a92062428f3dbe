//! A program that is an executable of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::setters::setters;

/// An executable that speaks the engine's protocol by itself and finds the engine in its environment
/// (`PULUMI_MONITOR`, `PULUMI_ENGINE`, `PULUMI_STACK`, ...): what a program written with
/// `pulumi_gestalt_rust` does. It inherits no variable; `PATH` is the system's own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildProgram {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// More environment variables.
    pub env: BTreeMap<String, String>,
}

setters!(ChildProgram { args(Vec<String>), env(BTreeMap<String, String>) });

impl ChildProgram {
    /// A program without arguments.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), args: Vec::new(), env: BTreeMap::new() }
    }
}
