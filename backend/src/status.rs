//! The state of OpenCode as the init sees it, published to the adapter through a watch channel.

use contracts::ErrorCode;
use contracts::identity::{HealthStatus, OpenCodeHealth, RuntimeHealth, RuntimeIdentity};

/// Written by whoever supervises OpenCode, read by [`crate::LocalAdapter`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub health: HealthStatus,
    /// OpenCode's version, once it answered.
    pub version: Option<String>,
    /// What is being done or what went wrong, for people.
    pub detail: Option<String>,
    /// Set when `health` is `Failed`.
    pub code: Option<ErrorCode>,
}

impl Status {
    /// The first state of every instance.
    pub fn starting(detail: impl Into<String>) -> Self {
        Self { health: HealthStatus::Starting, version: None, detail: Some(detail.into()), code: None }
    }

    /// OpenCode answers.
    pub fn ok(version: impl Into<String>) -> Self {
        Self { health: HealthStatus::Ok, version: Some(version.into()), detail: None, code: None }
    }

    /// The answer of `GET /health`.
    pub fn health_of(&self, identity: RuntimeIdentity) -> RuntimeHealth {
        RuntimeHealth {
            identity,
            status: self.health,
            open_code: OpenCodeHealth {
                ready: self.health == HealthStatus::Ok,
                version: self.version.clone(),
            },
            detail: self.detail.clone(),
            code: self.code,
            disk: None,
        }
    }
}
