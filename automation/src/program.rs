//! What an inline program is: an async function of a [`Context`] that returns the stack's outputs.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::context::{Context, Package};
use crate::value::Input;

/// The outputs of a stack by name.
pub type Outputs = BTreeMap<String, Input>;

/// A program may be run twice in one operation (once to preview, once for real) and must declare the
/// same resources both times. For a closure see [`program`].
#[async_trait]
pub trait Program: Send + Sync {
    /// Declares the stack's resources and returns its outputs. The future is dropped when the engine goes
    /// away; a panic is an error of the program.
    async fn run(&self, context: &Context) -> Result<Outputs, ProgramError>;

    /// The provider packages it uses, as far as their versions matter before it runs: the engine installs
    /// them and takes these versions for its default providers. None by default.
    fn packages(&self) -> Vec<Package> {
        Vec::new()
    }
}

/// A closure as a program.
///
/// ```no_run
/// # use pulumi_auto::{Input, Outputs, ResourceArgs};
/// let program = pulumi_auto::program(|context| async move {
///     let args = ResourceArgs {
///         resource_type: "random:index/randomPet:RandomPet".to_owned(),
///         name: "pet".to_owned(),
///         inputs: [("length".to_owned(), Input::from(2))].into(),
///         ..ResourceArgs::default()
///     };
///     let pet = context.register(args).await?;
///     Ok(Outputs::from([("name".to_owned(), pet.id())]))
/// });
/// ```
pub fn program<F, Fut>(run: F) -> Arc<dyn Program>
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Outputs, ProgramError>> + Send + 'static,
{
    Arc::new(Closure(run))
}

struct Closure<F>(F);

#[async_trait]
impl<F, Fut> Program for Closure<F>
where
    F: Fn(Context) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Outputs, ProgramError>> + Send,
{
    async fn run(&self, context: &Context) -> Result<Outputs, ProgramError> {
        (self.0)(context.clone()).await
    }
}

/// An argument that a provider finds fault with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidArgument {
    /// The argument's path; may be empty.
    pub property: String,
    /// In the provider's words.
    pub reason: String,
}

/// Why a program has not come to its end.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// The engine ended the run: a resource failed or the operation was cancelled. It has told the
    /// user already.
    #[error("the engine ended the program")]
    Ended,
    /// The program gives up and has told the user why with [`crate::Severity::Error`] (Pulumi: *bail*).
    #[error("the program gave up")]
    Bail,
    /// The engine refused a request of the program.
    #[error("{0}")]
    Refused(String),
    /// The program's own failure.
    #[error("{0}")]
    Failed(String),
    /// This resource failed and the engine goes on with the others: only when it was asked to continue
    /// after errors. It has told the user already.
    #[error("resource {urn} failed")]
    ResourceFailed {
        /// Of the resource.
        urn: String,
    },
    /// As [`ProgramError::ResourceFailed`], but the resource was not tried: something it needs failed.
    #[error("resource {urn} was skipped")]
    ResourceSkipped {
        /// Of the resource.
        urn: String,
    },
    /// A provider does not take these arguments.
    #[error("{token} does not take its arguments: {}", reasons(failures))]
    FunctionFailed {
        /// Of the function or method.
        token: String,
        /// Never empty.
        failures: Vec<InvalidArgument>,
    },
    /// A component's outputs were registered a second time.
    #[error("the outputs of {urn} have been registered already")]
    OutputsRegistered {
        /// Of the component.
        urn: String,
    },
    /// A stack reference has no such output.
    #[error("stack {stack} has no output {output}")]
    OutputMissing {
        /// As it was named to [`Context::stack_reference`].
        stack: String,
        /// Its name.
        output: String,
    },
    /// The stack's configuration lacks a value.
    #[error("configuration value {key} is missing; set it with `pulumi config set {key}`")]
    ConfigMissing {
        /// The full key.
        key: String,
    },
    /// A value of the stack's configuration has another form than the program wants.
    #[error("configuration value {key} cannot be used: {message}")]
    ConfigInvalid {
        /// The full key.
        key: String,
        /// Without the text of a secret.
        message: String,
    },
}

impl ProgramError {
    /// True when the user has been told already, so that nothing needs to be added.
    pub(crate) fn is_told(&self) -> bool {
        matches!(self, Self::Ended | Self::Bail | Self::ResourceFailed { .. } | Self::ResourceSkipped { .. })
    }
}

fn reasons(failures: &[InvalidArgument]) -> String {
    let reasons = failures.iter().map(|failure| match failure.property.as_str() {
        "" => failure.reason.clone(),
        property => format!("{property}: {}", failure.reason),
    });
    reasons.collect::<Vec<_>>().join("; ")
}

/// What a task of the program said when it panicked.
pub(crate) fn panic_message(error: tokio::task::JoinError) -> String {
    let message = match error.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned()),
        Err(error) => error.to_string(),
    };
    format!("the program panicked: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_a_refused_call_is_told() {
        let failure =
            |property: &str| InvalidArgument { property: property.to_owned(), reason: "too long".to_owned() };
        let error = ProgramError::FunctionFailed {
            token: "a:b:c".to_owned(),
            failures: vec![failure("x"), failure("")],
        };
        assert_eq!(error.to_string(), "a:b:c does not take its arguments: x: too long; too long");
    }
}
