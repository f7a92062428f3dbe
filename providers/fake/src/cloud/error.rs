//! What the cloud answers instead of a result, and how that goes over HTTP.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::RETRY_AFTER;
use provider_http::{Failure, Kind};
use serde_json::json;

/// What the API answers instead of a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CloudError {
    #[error("no connection to the cloud")]
    Unreachable,
    #[error("the cloud did not answer in time, so the result is not known")]
    NoAnswer,
    #[error("the cloud does not know the token")]
    BadToken,
    #[error("there is no {0}")]
    NotFound(String),
    /// The name is taken, or the object is not of the version that the change was made for.
    #[error("{0} is in conflict with this request")]
    Conflict(String),
    #[error("the cloud refuses: {0}")]
    Refused(String),
    #[error("the cloud asks for fewer requests")]
    Busy { retry_after: Duration },
}

impl CloudError {
    /// `None`: nothing comes back at all.
    fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Unreachable | Self::NoAnswer => None,
            Self::BadToken => Some(StatusCode::UNAUTHORIZED),
            Self::NotFound(_) => Some(StatusCode::NOT_FOUND),
            Self::Conflict(_) => Some(StatusCode::CONFLICT),
            Self::Refused(_) => Some(StatusCode::UNPROCESSABLE_ENTITY),
            Self::Busy { .. } => Some(StatusCode::TOO_MANY_REQUESTS),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    fn body(&self) -> Bytes {
        json!({"error": self.to_string()}).to_string().into()
    }

    /// As the same answer over HTTP would be read.
    pub fn into_failure(self) -> Failure {
        let kind = match (&self, self.status()) {
            (_, Some(status)) => Kind::Refused { status, body: self.body() },
            (Self::Unreachable, None) => Kind::Unreachable,
            (_, None) => Kind::Lost,
        };
        Failure { retry_after: self.retry_after(), ..Failure::new(kind, self.to_string()) }
    }
}

impl IntoResponse for CloudError {
    fn into_response(self) -> Response {
        let Some(status) = self.status() else {
            // The connection ends in the middle of it.
            let broken = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other(self))]);
            return Body::from_stream(broken).into_response();
        };
        let mut answer = (status, self.body()).into_response();
        if let Some(wait) = self.retry_after() {
            answer.headers_mut().insert(RETRY_AFTER, wait.as_secs().max(1).into());
        }
        answer
    }
}
