//! Snapshots of workspaces, and forks that begin with one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{OperationId, RuntimeId};

/// A copy of a workspace's home at one moment: its files and sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// By which it is restored, removed and forked.
    pub id: String,
    /// As whoever took it has called it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// In bytes; absent where the provider does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When the provider removes it by itself; absent where nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub kept_until: Option<Timestamp>,
}

/// The snapshots of a workspace, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotList {
    pub snapshots: Vec<Snapshot>,
    /// So many may be taken of one workspace.
    pub limit: u32,
}

/// Body of `POST /v1/workspaces/{workspace}/snapshots`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TakeSnapshot {
    /// For people: 1 to 64 printable characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Body of `POST /v1/workspaces/{workspace}/fork`. What is left out is as it is for the original.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForkWorkspace {
    /// The name of the new workspace, as that of a create.
    #[schema(pattern = "^[a-z](-?[a-z0-9])*$", min_length = 1, max_length = 40)]
    pub slug: String,
    /// Which snapshot it begins with. Without, one is taken first, and kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// One of the provider's sizes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// What the instance is made from, as its provider names images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Instead of those of the original.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
}

/// What an operation does with a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotWork {
    /// Which one it takes, brings back, removes or begins with.
    pub id: String,
    /// Of one that it takes: as it is to be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of a rewind: the snapshot that it takes before of what is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety: Option<String>,
    /// Of a fork: whose home it begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<RuntimeId>,
    /// Of a fork: the operation that takes the snapshot, where that is taken for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<OperationId>,
}

impl SnapshotWork {
    /// About this snapshot.
    pub fn on(id: impl Into<String>) -> Self {
        Self { id: id.into(), name: None, safety: None, of: None, after: None }
    }
}

/// A number of bytes, as people read it.
pub fn in_words(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn sizes_are_said_as_people_read_them() {
        let said = [0, 1, 999_999, 1_500_000, 2_340_000_000].map(in_words);
        assert_eq!(said, ["0 kB", "1 kB", "1000 kB", "1.5 MB", "2.3 GB"]);
    }
}
