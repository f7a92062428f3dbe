//! The calls that were seen: what tests count.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Where a call arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surface {
    /// `api.cloudflare.com`
    Api,
    /// `*.workers.dev`
    Edge,
}

#[derive(Debug, Clone, Serialize)]
pub struct Call {
    pub surface: Surface,
    pub method: String,
    /// With the query.
    pub path: String,
    /// None while no answer went out, and when it never did.
    pub status: Option<u16>,
    pub ray: String,
}

/// In the order of their arrival.
#[derive(Default)]
pub struct Calls(Mutex<Vec<Call>>);

impl Calls {
    /// Returns the call's number, for `answered`.
    pub fn arrived(&self, call: Call) -> usize {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(call);
        calls.len() - 1
    }

    pub fn answered(&self, number: usize, status: u16) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(call) = calls.get_mut(number) {
            call.status = Some(status);
        }
    }

    pub fn all(&self) -> Vec<Call> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
