//! Everything that can go wrong, as values a caller can branch on.

use std::path::PathBuf;

/// What everything here returns.
pub type Result<T> = std::result::Result<T, Error>;

/// An error-level message of the engine or a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The resource it is about; empty for the whole operation.
    pub urn: String,
    /// The text, without colours.
    pub message: String,
}

impl Diagnostic {
    /// About this resource; about the whole operation when `urn` is empty.
    pub fn new(urn: impl Into<String>, message: impl Into<String>) -> Self {
        Self { urn: urn.into(), message: message.into() }
    }
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedOperation {
    /// `create`, `update`, `delete`, ...
    pub op: String,
    /// The resource.
    pub urn: String,
    /// True when the provider could not say whether anything happened.
    pub outcome_unknown: bool,
}

impl FailedOperation {
    /// One of which it is known that nothing has happened.
    pub fn new(op: impl Into<String>, urn: impl Into<String>) -> Self {
        Self { op: op.into(), urn: urn.into(), outcome_unknown: false }
    }
}

/// Why something was not done. `message` is always the engine's own reason, for people.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No `pulumi`, or no engine host, at this path or on PATH.
    #[error("no Pulumi engine at {}", path.display())]
    CliMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The CLI or the engine host is there, but not of a version this crate works with.
    #[error("Pulumi {found} is not supported: {needed} is needed")]
    CliVersion {
        /// As it prints its version.
        found: String,
        /// What is supported, such as `at least 3.248.0`.
        needed: String,
    },
    /// There is none of this name.
    #[error("there is no stack {stack}")]
    StackNotFound {
        /// Its name.
        stack: String,
    },
    /// There is one of this name already.
    #[error("stack {stack} exists already")]
    StackExists {
        /// Its name.
        stack: String,
    },
    /// Another update holds the stack's lock.
    #[error("stack {stack} is locked by {owner}{}", way_out(*unproven, stack))]
    ConcurrentUpdate {
        /// Its name.
        stack: String,
        /// Who holds it, as the lock tells it: `user@host (pid 12)`.
        owner: String,
        /// Whether that process still runs cannot be told from here. If it does not, [`crate::Stack::cancel`] frees
        /// the stack.
        unproven: bool,
    },
    /// Somebody took the stack's lock away while this run of the engine host had it. The state is another process's
    /// since, and was left to it; what the run did outside after that, only the next refresh finds. In PostgreSQL
    /// nothing is written from the moment on at which the lock is gone; elsewhere it is noticed before the state is
    /// written.
    #[error("the lock of stack {stack} was lost: {message}")]
    LockLost {
        /// Its name.
        stack: String,
        /// What was noticed, and why the run itself failed if it did.
        message: String,
    },
    /// The engine ran and something in it failed.
    #[error("{operation} failed: {}", summary(diagnostics))]
    UpdateFailed {
        /// The CLI's command.
        operation: String,
        /// What was said of it, in order.
        diagnostics: Vec<Diagnostic>,
        /// The steps that failed; none when it failed before any.
        failed_operations: Vec<FailedOperation>,
    },
    /// The program's own error.
    #[error("the program failed: {message}")]
    Program {
        /// In its own words.
        message: String,
    },
    /// The program could not be built, so nothing ran.
    #[error("the program does not compile: {message}")]
    Compilation {
        /// What the compiler said.
        message: String,
    },
    /// [`crate::Options::expect_no_changes`] was asked for and there were changes.
    #[error("changes were found where none were expected")]
    NoChangesExpected,
    /// It was cancelled; what had been done by then is in the state.
    #[error("the operation was canceled")]
    Canceled,
    /// The operation took longer than it may and was ended.
    #[error("the operation did not end within {timeout:?}")]
    TimedOut {
        /// [`crate::Options::timeout`], or that of [`crate::Workspace::with_timeout`].
        timeout: std::time::Duration,
    },
    /// The process of the CLI or of the engine host ended in the middle of it.
    #[error("the Pulumi process was ended by signal {signal}")]
    Interrupted {
        /// Its number; SIGABRT's for an engine host that broke down by itself.
        signal: i32,
    },
    /// The engine host was started again and again and is not there.
    #[error("the engine host does not start: {message}")]
    HostDown {
        /// What it wrote last.
        message: String,
    },
    /// The engine host does not do this, and it was given no CLI that does.
    #[error("pulumi {command} needs the CLI: {reason}")]
    NeedsCli {
        /// Such as `plugin install`.
        command: String,
        /// Why the host does not do it.
        reason: String,
    },
    /// Only the engine host does this, and another engine was asked.
    #[error("pulumi has no `{command}`: the engine host does it")]
    NeedsHost {
        /// Such as `stack repair`.
        command: String,
    },
    /// The backend wants a login.
    #[error("the backend wants a login: {message}")]
    Auth {
        /// The reason.
        message: String,
    },
    /// The passphrase is absent or wrong.
    #[error("the stack's secrets cannot be read: {message}")]
    Secrets {
        /// The reason.
        message: String,
    },
    /// The state file exists and cannot be read.
    #[error("the state of stack {stack} cannot be read: {message}")]
    StateCorrupt {
        /// Its name.
        stack: String,
        /// The reason.
        message: String,
    },
    /// A newer Pulumi wrote the state, or a part of it, and this one would lose what it does not know. It was left as
    /// it is; the message names both versions.
    #[error("{message}")]
    StateNewer {
        /// Its name.
        stack: String,
        /// What is not known, and which versions wrote and read it.
        message: String,
    },
    /// A change by the engine host was cut off, and what it did since is in its journal alone. The CLI would run past
    /// it; any change of the stack through [`crate::Host`] brings it in first.
    #[error("an update of stack {stack} by the engine host was cut off, and its last steps are only in {}; any change of the stack through the engine host brings them in", journal.display())]
    UnfinishedUpdate {
        /// Its name.
        stack: String,
        /// Where the steps are.
        journal: PathBuf,
    },
    /// The state could not be written, however the run ended: what it has done is not all in there. The next
    /// run of the engine host takes it up from the stack's journal.
    #[error("the state of stack {stack} was not written: {message}")]
    StateUnwritten {
        /// Its name.
        stack: String,
        /// The reason, and why the run itself failed if it did.
        message: String,
        /// What keeps the stacks has no space left.
        storage_full: bool,
    },
    /// What keeps the stacks has no space left. Nothing was begun, or all that was done is in the state.
    #[error("there is no space left for the stacks' state: {message}")]
    StorageFull {
        /// Where.
        message: String,
    },
    /// A panic or an internal error of the engine.
    #[error("the engine failed in itself: {message}")]
    EngineBug {
        /// What it said of itself.
        message: String,
    },
    /// Any other failure of the CLI.
    #[error("pulumi {command} ended with code {code}: {message}")]
    Command {
        /// Such as `stack init`.
        command: String,
        /// The exit code; -1 when there is none.
        code: i32,
        /// The reason.
        message: String,
    },
    /// An option that this operation does not have.
    #[error("{operation} does not know the option {option}")]
    Option {
        /// Its name in [`crate::Options`].
        option: &'static str,
        /// The CLI's command.
        operation: &'static str,
    },
    /// The command line or the project is not what the CLI takes.
    #[error("pulumi {command} was refused: {message}")]
    Invalid {
        /// Such as `stack init`.
        command: String,
        /// The reason.
        message: String,
    },
    /// A policy pack forbids what was to be done.
    #[error("a policy forbids it: {}", violations.join("; "))]
    Policy {
        /// Each as `policy: what is wrong`.
        violations: Vec<String>,
    },
    /// A settings file of the project is absent, or is not what Pulumi takes.
    #[error("{} cannot be used: {message}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// The reason.
        message: String,
    },
    /// The source of a project cannot be fetched.
    #[error("git {command} failed: {message}")]
    Git {
        /// Such as `clone`.
        command: String,
        /// The reason.
        message: String,
    },
    /// The host of a repository is not the one that `ssh` knows, or `ssh` knows none.
    #[error("{}", host_key(host, *changed))]
    HostKey {
        /// As `known_hosts` names it.
        host: String,
        /// Another key is known.
        changed: bool,
    },
    /// The operating system refused something.
    #[error("could not {action}")]
    Io {
        /// What was to be done.
        action: &'static str,
        /// The reason.
        source: std::io::Error,
    },
    /// The CLI printed something that is not what it documents.
    #[error("pulumi {command} printed something unexpected: {message}")]
    Output {
        /// Such as `stack export`.
        command: String,
        /// What is wrong with it.
        message: String,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        move |source| Error::Io { action, source }
    }
}

fn host_key(host: &str, changed: bool) -> String {
    match changed {
        true => format!(
            "the key of the host {host} is not the one in known_hosts: ask who runs it, and only then remove the \
             old one with `ssh-keygen -R '{host}'`"
        ),
        false => format!(
            "the key of the host {host} is not known: compare it with what who runs it says, and add it to \
             known_hosts, for example by connecting once with `ssh`"
        ),
    }
}

fn way_out(unproven: bool, stack: &str) -> String {
    if !unproven {
        return String::new();
    }
    format!(
        ", and whether that process still runs cannot be told from here; if it does not, `pulumi cancel {stack}` frees \
         the stack"
    )
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
