//! What an inline program is: an async function of a [`Context`] that returns the stack's outputs.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use crate::context::Context;
use crate::value::Value;

/// The outputs of a stack by name.
pub type Outputs = BTreeMap<String, Input>;

/// A program may be run twice in one operation (once to preview, once for real) and must declare the
/// same resources both times.
#[async_trait]
pub trait Program: Send + Sync {
    async fn run(&self, context: &Context) -> Result<Outputs, ProgramError>;
}

/// A value and the resources it came from, so that the engine knows the order of things.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    pub value: Value,
    /// URNs.
    pub dependencies: BTreeSet<String>,
}

impl<T: Into<Value>> From<T> for Input {
    fn from(value: T) -> Self {
        Self { value: value.into(), dependencies: BTreeSet::new() }
    }
}

impl Input {
    /// The same value, hidden.
    pub fn into_secret(self) -> Self {
        match self.value {
            Value::Secret(_) => self,
            value => Self { value: Value::Secret(Box::new(value)), dependencies: self.dependencies },
        }
    }
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum ProgramError {
    /// The engine ended the run: a resource failed or the operation was cancelled. It has told the
    /// user already.
    #[error("the engine ended the program")]
    Ended,
    /// The engine refused a request of the program.
    #[error("{0}")]
    Refused(String),
    /// The program's own failure.
    #[error("{0}")]
    Failed(String),
}
