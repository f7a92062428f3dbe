//! Where an operation's program comes from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::program::Program;

/// The program of an operation.
#[derive(Clone)]
pub enum Source {
    /// Runs in this process.
    Inline(Arc<dyn Program>),
    /// Runs in a process of its own, one for each run.
    Child(ChildProgram),
    /// What `Pulumi.yaml` of the workspace's folder names; the engine starts its language host.
    Project,
}

/// Says which kind it is; a program has nothing that could be shown.
impl std::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Inline(_) => formatter.write_str("Inline"),
            Source::Child(child) => formatter.debug_tuple("Child").field(child).finish(),
            Source::Project => formatter.write_str("Project"),
        }
    }
}

impl From<Arc<dyn Program>> for Source {
    fn from(program: Arc<dyn Program>) -> Self {
        Source::Inline(program)
    }
}

impl From<ChildProgram> for Source {
    fn from(program: ChildProgram) -> Self {
        Source::Child(program)
    }
}

/// An executable that speaks the engine's protocol by itself and finds the engine in its environment
/// (`PULUMI_MONITOR`, `PULUMI_ENGINE`, `PULUMI_STACK`, ...): what a program written with
/// `pulumi_gestalt_rust` does. It inherits no variable; `PATH` is the system's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildProgram {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// More environment variables.
    pub env: BTreeMap<String, String>,
}

impl ChildProgram {
    /// A program without arguments.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), args: Vec::new(), env: BTreeMap::new() }
    }
}
