//! The one error of a provider: a stable code, words for a person, and what is now true outside.

use std::time::Duration;

use contracts::ErrorCode;

use crate::resource::Properties;

/// What every call of a provider gives.
pub type Result<T> = std::result::Result<T, ProviderError>;

/// What a failed call left behind. The engine treats each case differently, so be exact.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Nothing changed outside. The call may be repeated.
    NothingHappened,
    /// A timeout or a lost connection: the object may or may not exist. Never read as "gone".
    Unknown,
    /// The object exists under this id but is not as asked. The engine keeps it in state, so that it
    /// stays owned and can be deleted.
    Partial {
        /// As a successful create would give it.
        id: String,
        /// What is known of it.
        outputs: Properties,
    },
}

/// By which number a call is too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// Of the spec: it was changed since.
    Generation,
    /// Of the operation: another program has taken it over, or begun the next.
    Fence,
}

impl std::fmt::Display for Stale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stale::Generation => "generation",
            Stale::Fence => "fence",
        })
    }
}

/// `message` says what happened and why; `action` what the reader can do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// Stable; its page says more.
    pub code: ErrorCode,
    /// What happened and why.
    pub message: String,
    /// What the reader can do.
    pub action: Option<String>,
    /// What is now true outside.
    pub outcome: Outcome,
    /// What the vendor calls this request; its support asks for it.
    pub request_id: Option<String>,
    /// The vendor's own word on when to try again.
    pub retry_after: Option<Duration>,
}

impl ProviderError {
    /// A refusal or failure that changed nothing.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            action: None,
            outcome: Outcome::NothingHappened,
            request_id: None,
            retry_after: None,
        }
    }

    /// A call whose result is not known.
    pub fn unknown(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unknown, ..Self::new(code, message) }
    }

    /// Another program owns the object now: it has seen a higher number of this kind than the call has.
    pub fn fenced(late: Stale, (kind, name): (&str, &str), ours: u64, theirs: u64) -> Self {
        let message = format!(
            "the {kind} {name} was left alone: this call has the {late} {ours}, and the {late} {theirs} was there before"
        );
        Self::new(ErrorCode::Fenced, message)
            .with_action("Nothing to do: the newer operation goes on. `pilot ws get NAME` shows it.")
    }

    /// An object under a name of ours that is not ours. `removal` says how a person removes it with the provider's
    /// own tools; that has to help a delete as well, so no other workspace is advised.
    pub fn foreign(message: impl Into<String>, removal: &str) -> Self {
        Self::new(ErrorCode::ForeignObject, message).with_action(format!(
            "{removal}, if nobody needs it, and try again. Or `pilot ws rm --forget NAME` releases the workspace and \
             touches nothing outside."
        ))
    }

    /// An update of what is not there any more. Nothing is made for it: that is a create's, and who keeps homes asks
    /// before one.
    pub fn gone((kind, name): (&str, &str)) -> Self {
        let message = format!("the {kind} {name} is gone, so it cannot be changed");
        Self::new(ErrorCode::ProviderFailed, message).with_action(
            "`pilot stack apply NAME` makes what is missing, as does `pulumi up --refresh` in an exported stack.",
        )
    }

    /// The same error with what the reader can do.
    pub fn with_action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    /// The same error with the vendor's name of the request.
    pub fn with_request_id(mut self, id: Option<String>) -> Self {
        self.request_id = id;
        self
    }

    /// The same failure of an object that exists all the same.
    pub fn partial(mut self, id: impl Into<String>, outputs: Properties) -> Self {
        self.outcome = Outcome::Partial { id: id.into(), outputs };
        self
    }
}
