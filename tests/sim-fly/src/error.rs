//! A refusal in the vendor's form: a status, words, and sometimes a machine-readable reason.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

pub type Answer<T> = Result<T, Refusal>;

/// Why a request was not carried out. `reason` is the vendor's `status` field.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{status}: {words}")]
pub struct Refusal {
    pub status: StatusCode,
    pub words: String,
    pub reason: Option<&'static str>,
    /// Lease conflicts have a body of their own shape.
    pub lease_form: bool,
}

impl Refusal {
    pub fn new(status: StatusCode, words: impl Into<String>) -> Self {
        Self { status, words: words.into(), reason: None, lease_form: false }
    }

    pub fn bad(words: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, words)
    }

    pub fn missing(words: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, words)
    }

    pub fn conflict(words: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, words)
    }

    /// The object's state does not allow it now.
    pub fn precondition(words: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, format!("failed_precondition: {words}"))
    }

    pub fn because(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    pub fn in_lease_form(mut self) -> Self {
        self.lease_form = true;
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = match (self.lease_form, self.reason) {
            (true, _) => json!({"status": "error", "message": self.words, "code": "invalid"}),
            (false, Some(reason)) => json!({"error": self.words, "status": reason, "details": {}}),
            (false, None) => json!({"error": self.words}),
        };
        (self.status, axum::Json(body)).into_response()
    }
}
