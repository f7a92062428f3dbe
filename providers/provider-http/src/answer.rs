//! A whole answer, and its reading.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Kind};

/// Status below 400, and the whole body.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub request_id: Option<String>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A body that is not what was promised is a failure that leaves open what the vendor did.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let what = if looks_like_html(&self.body) {
                "an HTML page instead of JSON".to_owned()
            } else {
                format!("an answer that cannot be read ({error})")
            };
            Failure::new(Kind::Unreadable, what).with_request_id(self.request_id.clone())
        })
    }
}

pub(crate) fn looks_like_html(body: &[u8]) -> bool {
    let start = String::from_utf8_lossy(&body[..body.len().min(256)]).trim_start().to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}
