//! What an operation would do, without doing it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer of a preview. `changes` counts steps by Pulumi's own names (`create`, `same`, ...).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub stack: String,
    pub steps: Vec<PlanStep>,
    pub changes: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStep {
    pub op: String,
    pub name: String,
    pub resource_type: String,
    /// The input properties that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diffs: Vec<String>,
}

impl Plan {
    /// True when applying would change nothing.
    pub fn is_unchanged(&self) -> bool {
        self.changes.iter().all(|(op, count)| *count == 0 || op == "same")
    }
}
