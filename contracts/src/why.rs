//! Why a workspace is as it is: `GET /v1/workspaces/{workspace}/why`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::disk::Disk;
use crate::egress::report::EgressReport;
use crate::ids::OperationId;
use crate::operation::Operation;
use crate::workspace::Workspace;

/// What it is, who wants it so, what was tried and what comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    pub workspace: Workspace,
    /// Who asked for what, the newest first.
    pub asked: Vec<Asked>,
    /// What was done, the newest first.
    pub operations: Vec<Operation>,
    /// The disk of its home, where it runs and tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
    /// For people: what happens next, and when.
    pub next: String,
    /// Of one with a list of destinations, where it can be asked: what became of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<EgressReport>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// `admin` for who has the token, `reconciler` for what Pilot does by itself.
    pub principal: String,
    /// As operations are called, and `rename`.
    pub action: String,
    /// Absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    pub request_id: String,
}
