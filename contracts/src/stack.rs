//! What the lifecycle API says of the Pulumi stack behind a workspace, and of its instance's log.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A stack rendered as a Pulumi YAML project: relative path to content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StackExport {
    pub stack: String,
    pub files: std::collections::BTreeMap<String, String>,
}

/// How a repair of a stack's state is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepairStack {
    /// Put the good copy in its place; else only say which one it would be.
    #[serde(default)]
    pub apply: bool,
}

/// What a repair of a stack's state would do, or has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StackRepair {
    pub stack: String,
    /// What is wrong with the state; absent when it is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The file that cannot be used, below the state's folder; absent when it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damaged: Option<String>,
    /// The good copy; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<String>,
    /// When the state in the copy was made, as RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The copy is exactly what the damaged file held; else later changes are missing in it.
    pub exact: bool,
    /// How many resources the copy has.
    pub resources: u64,
    /// Where the damaged file is kept; absent until the repair was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    pub done: bool,
}

/// What an import of a state has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StackImport {
    pub stack: String,
    /// How many resources the state has that is there now.
    pub resources: u64,
    /// Where the state of before is kept, on the server that answered. Absent where there was none, and when the same request was
    /// answered before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// The last lines of an instance's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogTail {
    pub text: String,
    /// How an instance that does not run has ended, in words, where its provider knows. It is no line of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}
