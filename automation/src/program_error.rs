//! What ends a program before its end.

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
    /// Text that is not UTF-8, for an engine of a version that does not know it.
    #[error(
        "property {property} holds text that is not UTF-8, which this version of Pulumi does not take; newer ones do"
    )]
    BytesUnsupported {
        /// Of the resource, function or method; `replacementTrigger` is the option.
        property: String,
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
        /// As it was named to [`crate::Context::stack_reference`].
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
