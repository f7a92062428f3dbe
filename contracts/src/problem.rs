//! The one shape of every error that leaves a process: an RFC 9457 problem document.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Code, ErrorCode};

/// `detail` says what happened and why, `action` what to do about it. `type` is the path of the page
/// that explains the code; the orchestrator and the gateway serve it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// Stable. Each has a page at `/docs/errors/{code}`; a newer server may have codes that a client does not know.
    #[schema(value_type = String, pattern = "^[a-z][a-z0-9_]*$", example = "workspace_not_found")]
    pub code: Code,
    pub detail: String,
    pub retryable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Seconds after which to try again, where somebody has said that; as in the header `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Problem {
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/docs/errors/{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            code: code.into(),
            detail: detail.into(),
            retryable: code.retryable(),
            action: None,
            request_id: None,
            retry_after: None,
        }
    }

    /// In the words of what was looked for, where those of the code are about something else.
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    pub fn with_action(mut self, action: impl Into<String>) -> Self {
        self.action = Some(action.into());
        self
    }

    pub fn with_retry_after(mut self, wait: std::time::Duration) -> Self {
        // Not sooner than was said.
        self.retry_after = Some(wait.as_millis().div_ceil(1000) as u64);
        self
    }

    pub fn with_request_id(mut self, request_id: impl Into<String>) -> Self {
        self.request_id = Some(request_id.into());
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)?;
        match &self.action {
            Some(action) => write!(f, "\n  -> {action}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}
