//! What ran for whom, and how long: `GET /v1/usage`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{ProviderName, Slug, WorkspaceId};

/// How long instances of one workspace ran, of one owner and size, within an interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    pub workspace_id: WorkspaceId,
    /// The name that it has now, or had last; absent when it was deleted long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<Slug>,
    /// Whose it was then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    pub provider: ProviderName,
    pub size: String,
    /// From its boot until it does not run any more, as far as that is within the interval.
    pub seconds: u64,
}

/// A page of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageList {
    /// Where the interval begins; absent when that is before everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub from: Option<Timestamp>,
    /// Where it ends: now, unless somebody asks for another.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    pub usage: Vec<Usage>,
    /// Where the next page begins: its `cursor`, with this `to`. Absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
