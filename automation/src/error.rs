//! Everything that can go wrong, as values a caller can branch on.

use std::path::PathBuf;

pub type Result<T> = std::result::Result<T, Error>;

/// An error-level message of the engine or a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The resource it is about; empty for the whole operation.
    pub urn: String,
    pub message: String,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedOperation {
    pub op: String,
    pub urn: String,
    /// True when the provider could not say whether anything happened.
    pub outcome_unknown: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No `pulumi` at this path or on PATH.
    #[error("no Pulumi CLI at {}", path.display())]
    CliMissing { path: PathBuf },
    /// The CLI is there, but not of a version this crate works with.
    #[error("Pulumi CLI {found} is not supported: at least {needed} is needed")]
    CliVersion { found: String, needed: String },
    #[error("there is no stack {stack}")]
    StackNotFound { stack: String },
    #[error("stack {stack} exists already")]
    StackExists { stack: String },
    /// Another update holds the stack's lock. `owner` says who, as the lock tells it.
    #[error("stack {stack} is locked by {owner}")]
    ConcurrentUpdate { stack: String, owner: String },
    /// The engine ran and something in it failed.
    #[error("{operation} failed: {}", summary(diagnostics))]
    UpdateFailed { operation: String, diagnostics: Vec<Diagnostic>, failed_operations: Vec<FailedOperation> },
    /// The program's own error.
    #[error("the program failed: {message}")]
    Program { message: String },
    /// The program could not be built, so nothing ran.
    #[error("the program does not compile: {message}")]
    Compilation { message: String },
    /// `expect_no_changes` was asked for and there were changes.
    #[error("changes were found where none were expected")]
    NoChangesExpected,
    #[error("the operation was cancelled")]
    Canceled,
    /// The operation took longer than [`crate::Options::limit`] and was ended.
    #[error("the operation did not end within {limit:?}")]
    TimedOut { limit: std::time::Duration },
    /// The CLI process was ended from outside.
    #[error("the Pulumi process was ended by signal {signal}")]
    Interrupted { signal: i32 },
    #[error("the backend wants a login: {message}")]
    Auth { message: String },
    /// The passphrase is absent or wrong.
    #[error("the stack's secrets cannot be read: {message}")]
    Secrets { message: String },
    /// The state file exists and cannot be read.
    #[error("the state of stack {stack} cannot be read: {message}")]
    StateCorrupt { stack: String, message: String },
    #[error("the engine failed in itself: {message}")]
    EngineBug { message: String },
    /// Any other failure of the CLI.
    #[error("pulumi {command} ended with code {code}: {message}")]
    Command { command: String, code: i32, message: String },
    /// An option that this operation does not have.
    #[error("{operation} does not know the option {option}")]
    Option { option: &'static str, operation: &'static str },
    /// The command line or the project is not what the CLI takes.
    #[error("pulumi {command} was refused: {message}")]
    Invalid { command: String, message: String },
    /// A policy pack forbids what was to be done.
    #[error("a policy forbids it: {}", violations.join("; "))]
    Policy { violations: Vec<String> },
    /// A settings file of the project is absent, or is not what Pulumi takes.
    #[error("{} cannot be used: {message}", path.display())]
    Settings { path: PathBuf, message: String },
    /// The source of a project cannot be fetched.
    #[error("git {command} failed: {message}")]
    Git { command: String, message: String },
    #[error("could not {action}")]
    Io { action: &'static str, source: std::io::Error },
    /// The CLI printed something that is not what it documents.
    #[error("pulumi {command} printed something unexpected: {message}")]
    Output { command: String, message: String },
}

impl Error {
    pub(crate) fn io(action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        move |source| Error::Io { action, source }
    }
}

/// The messages without those that only repeat that something failed.
fn summary(diagnostics: &[Diagnostic]) -> String {
    let mut lines: Vec<&str> = diagnostics
        .iter()
        .map(|diagnostic| diagnostic.message.trim())
        .filter(|message| !message.is_empty() && *message != "update failed" && *message != "preview failed")
        .collect();
    lines.dedup();
    if lines.is_empty() { "the engine gave no reason".to_owned() } else { lines.join("\n") }
}
