//! What is outside with the installation's labels and of no workspace that is known: `GET /v1/strays`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{ProviderName, RuntimeId};

/// Those that the last sweep has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StrayList {
    pub strays: Vec<Stray>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stray {
    pub provider: ProviderName,
    /// For example `container` or `volume`.
    pub kind: String,
    /// The vendor's own id or name.
    pub id: String,
    /// Whose its labels say it is.
    pub runtime_id: RuntimeId,
    /// A home, or what that cannot be without: it is never removed by itself.
    pub home: bool,
    #[schema(value_type = String, format = DateTime)]
    pub first_seen: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub last_seen: Timestamp,
    /// When it is removed, if nobody knows it by then. Absent where it is not: a home, and where the server only tells
    /// (`--repair report`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub removed_at: Option<Timestamp>,
}
