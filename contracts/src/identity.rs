//! What a running instance says of itself.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::disk::Disk;
use crate::error::{Code, ErrorCode};
use crate::ids::RuntimeId;

/// Who the instance is. `runtimeLabel` is for people, `runtimeId` for machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeIdentity {
    pub runtime_id: RuntimeId,
    pub runtime_label: String,
    pub platform: Platform,
}

/// `compute` and `sandbox` are the older surfaces that `runtime` replaces; they stay readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    Compute,
    Sandbox,
    Runtime,
}

/// Which route groups the instance serves. A group that is `false` answers `501 capability_unsupported`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeCapabilities {
    pub fs: bool,
    pub git: bool,
    pub terminal: bool,
    pub opencode: bool,
}

/// The answer of the instance's `GET /health`. The HTTP status is 200 when `status` is `ok`, else 503.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeHealth {
    pub identity: RuntimeIdentity,
    pub status: HealthStatus,
    pub open_code: OpenCodeHealth,
    /// What the instance is doing or what went wrong, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// A stable code when `status` is `failed`: the boot will not succeed without a change.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "known")]
    #[schema(value_type = Option<String>)]
    pub code: Option<ErrorCode>,
    /// The disk of its home; absent where an older image does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
}

/// The code of a newer instance says nothing here; its `detail` does.
fn known<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ErrorCode>, D::Error> {
    Ok(Option::<Code>::deserialize(from)?.and_then(|code| code.known()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// The backend answers, OpenCode does not yet.
    Starting,
    /// Both answer.
    Ok,
    /// OpenCode stopped answering and is being restarted.
    Degraded,
    /// The boot failed for good; `code` and `detail` say why.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenCodeHealth {
    pub ready: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_health_of_a_newer_instance_can_be_read() {
        let health = |code: &str| -> RuntimeHealth {
            let identity = r#"{"runtimeId":"rt-1","runtimeLabel":"demo","platform":"runtime"}"#;
            let rest = r#""status":"failed","openCode":{"ready":false},"detail":"why""#;
            serde_json::from_str(&format!(r#"{{"identity":{identity},{rest},"code":{code}}}"#)).unwrap()
        };
        assert_eq!(health("\"git_not_found\"").code, Some(ErrorCode::GitNotFound));
        assert_eq!((health("\"newer\"").code, health("null").code), (None, None));
        assert_eq!(health("\"newer\"").detail.as_deref(), Some("why"));
    }

    #[test]
    fn identity_uses_the_json_names_of_the_specification() {
        let identity = RuntimeIdentity {
            runtime_id: "rt-1".parse().unwrap(),
            runtime_label: "demo".to_owned(),
            platform: Platform::Runtime,
        };
        assert_eq!(
            serde_json::to_string(&identity).unwrap(),
            r#"{"runtimeId":"rt-1","runtimeLabel":"demo","platform":"runtime"}"#
        );
    }
}
