//! What was asked and answered, for tests that count calls.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

/// More than this is forgotten from the front, a tenth at once.
const KEPT: usize = 500_000;

/// One request that reached the API.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    pub at: Timestamp,
    pub request_id: String,
    pub method: String,
    pub path: String,
    /// The vendor's action, for example `machine_create`.
    pub action: String,
    /// 0 when no answer was sent.
    pub status: u16,
}

#[derive(Debug, Default)]
pub struct Seen(Mutex<Vec<Request>>);

impl Seen {
    pub fn add(&self, request: Request) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= KEPT {
            seen.drain(..KEPT / 10);
        }
        seen.push(request);
    }

    pub fn all(&self) -> Vec<Request> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
