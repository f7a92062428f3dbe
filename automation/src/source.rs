//! Where an operation's program comes from.

#[cfg(feature = "inline")]
use std::sync::Arc;

#[cfg(feature = "inline")]
pub use child::ChildProgram;

#[cfg(feature = "inline")]
use crate::program::Program;

#[cfg(feature = "inline")]
mod child;

/// The program of an operation.
#[derive(Clone)]
#[non_exhaustive]
pub enum Source {
    /// Runs in this process.
    #[cfg(feature = "inline")]
    Inline(Arc<dyn Program>),
    /// Runs in a process of its own, one for each run.
    #[cfg(feature = "inline")]
    Child(ChildProgram),
    /// What `Pulumi.yaml` of the workspace's folder names; the engine starts its language host.
    Project,
}

/// Says which kind it is; a program has nothing that could be shown.
impl std::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            #[cfg(feature = "inline")]
            Source::Inline(_) => formatter.write_str("Inline"),
            #[cfg(feature = "inline")]
            Source::Child(child) => formatter.debug_tuple("Child").field(child).finish(),
            Source::Project => formatter.write_str("Project"),
        }
    }
}

#[cfg(feature = "inline")]
impl From<Arc<dyn Program>> for Source {
    fn from(program: Arc<dyn Program>) -> Self {
        Source::Inline(program)
    }
}

#[cfg(feature = "inline")]
impl From<ChildProgram> for Source {
    fn from(program: ChildProgram) -> Self {
        Source::Child(program)
    }
}
