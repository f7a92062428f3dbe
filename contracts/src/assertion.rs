//! What the gateway tells an instance with each request: a JWT signed with Ed25519, verified offline.

use serde::{Deserialize, Serialize};

/// How long an assertion is valid, in seconds. The design's upper bound is five minutes.
pub const LIFETIME_SECONDS: u64 = 120;

/// Clock skew that a verifier accepts, in seconds.
pub const LEEWAY_SECONDS: u64 = 30;

/// Claims of an assertion. `aud` is the runtime id: a token for one instance is worthless at another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    pub sub: String,
    pub iat: u64,
    pub exp: u64,
    pub surface: Surface,
}

/// Which surface of the instance the request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Surface {
    /// `/api/*`: Pilot's own routes and OpenCode's v1 API behind `/api`.
    Api,
    /// Everything verbatim to OpenCode's own web UI.
    Ui,
}
