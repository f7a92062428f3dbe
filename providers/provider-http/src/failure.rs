//! What went wrong with a call, and whether the vendor may have acted on it.

use std::time::Duration;

use bytes::Bytes;
use contracts::ErrorCode;
use http::StatusCode;
use provider_api::{Outcome, ProviderError};
use serde_json::Value;

use crate::answer::looks_like_html;

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// The rate left no room for it in time: the vendor saw nothing.
    NotSent,
    /// No connection: the vendor saw nothing.
    Unreachable,
    /// It was sent, and no whole answer came: it may or may not have been done.
    Lost,
    /// An answer that is not what the API promises: it may or may not have been done.
    Unreadable,
    /// The vendor said no, with this body. Whether it may have acted depends on the status.
    Refused { status: StatusCode, body: Bytes },
}

/// Holds no credential: neither a request's headers nor its body are in it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub kind: Kind,
    /// Completes "the vendor gave ..." or says what happened to the connection.
    pub message: String,
    pub request_id: Option<String>,
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// One without a request's id and without a time to wait.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), request_id: None, retry_after: None }
    }

    pub(crate) fn with_request_id(mut self, id: Option<String>) -> Self {
        self.request_id = id;
        self
    }

    /// The status of a refusal.
    pub fn status(&self) -> Option<StatusCode> {
        match &self.kind {
            Kind::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The body of a refusal as JSON, when it is that.
    pub fn json(&self) -> Option<Value> {
        match &self.kind {
            Kind::Refused { body, .. } => serde_json::from_slice(body).ok(),
            _ => None,
        }
    }

    /// Surely not there: the vendor itself says so.
    pub fn is_absent(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND) && !self.is_a_page()
    }

    /// "There is none" as `None`: of what was looked at, and of what was to be deleted.
    pub fn optional<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match answer {
            Err(failure) if failure.is_absent() => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Whether the vendor may have acted. A refusal of the request means that it did not.
    pub fn may_have_happened(&self) -> bool {
        match &self.kind {
            Kind::NotSent | Kind::Unreachable => false,
            Kind::Lost | Kind::Unreadable => true,
            Kind::Refused { status, .. } => {
                *status == StatusCode::REQUEST_TIMEOUT || (status.is_server_error() && !self.was_not_taken())
            }
        }
    }

    /// 501 and 505 refuse the request as such.
    fn was_not_taken(&self) -> bool {
        matches!(self.status(), Some(StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED))
    }

    /// Something that stands before the vendor answered, so its status says nothing about an object.
    fn is_a_page(&self) -> bool {
        matches!(&self.kind, Kind::Refused { body, .. } if looks_like_html(body))
    }

    /// The code when the vendor's own words say nothing better.
    pub fn code(&self) -> ErrorCode {
        if self.is_a_page() {
            return ErrorCode::ProviderUnreadable;
        }
        match &self.kind {
            Kind::NotSent => ErrorCode::ProviderRateLimited,
            Kind::Unreachable => ErrorCode::ProviderUnreachable,
            Kind::Lost => ErrorCode::ProviderTimeout,
            Kind::Unreadable => ErrorCode::ProviderUnreadable,
            Kind::Refused { status, .. } => match status.as_u16() {
                401 | 403 => ErrorCode::CredentialsRejected,
                408 | 504 => ErrorCode::ProviderTimeout,
                429 => ErrorCode::ProviderRateLimited,
                502 | 503 => ErrorCode::ProviderUnreachable,
                _ => ErrorCode::ProviderFailed,
            },
        }
    }

    /// With a code of the module's choice. `doing` completes "cannot ...".
    pub fn into_error(self, code: ErrorCode, vendor: &str, doing: &str) -> ProviderError {
        let outcome = if self.may_have_happened() { Outcome::Unknown } else { Outcome::NothingHappened };
        let message = match self.status() {
            Some(status) => format!("cannot {doing}: {vendor} answered {status}: {}", self.message),
            None => format!("cannot {doing}: {}", self.message),
        };
        let mut error = ProviderError::new(code, message).with_request_id(self.request_id);
        error.outcome = outcome;
        error.retry_after = self.retry_after;
        error
    }
}

/// What a refusal's body says, for people: the first text of these JSON pointers, else its beginning.
pub fn words(body: &[u8], pointers: &[&str]) -> String {
    const LONGEST: usize = 500;
    if looks_like_html(body) {
        return "an HTML page instead of JSON".to_owned();
    }
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let found = json.as_ref().and_then(|json| {
        let texts = pointers.iter().filter_map(|pointer| json.pointer(pointer)?.as_str());
        texts.filter(|text| !text.is_empty()).map(str::to_owned).next()
    });
    let text = found.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
    match text.is_empty() {
        true => "without a reason".to_owned(),
        false => text.chars().take(LONGEST).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_vendors_own_word_means_that_there_is_none() {
        let refused = |status: StatusCode, body: &'static str| {
            Err::<(), _>(Failure::new(
                Kind::Refused { status, body: Bytes::from_static(body.as_bytes()) },
                body,
            ))
        };
        assert_eq!(Failure::optional(Ok(1)), Ok(Some(1)));
        assert_eq!(Failure::optional(refused(StatusCode::NOT_FOUND, "{\"error\":\"none\"}")), Ok(None));
        for other in [
            refused(StatusCode::NOT_FOUND, "<!DOCTYPE html><html>a proxy's page</html>"),
            refused(StatusCode::FORBIDDEN, "{}"),
            Err(Failure::new(Kind::Lost, "no answer in time")),
        ] {
            assert!(Failure::optional(other.clone()).is_err(), "{other:?}");
        }
    }
}
