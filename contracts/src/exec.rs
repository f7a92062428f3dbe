//! A command in a workspace's instance: `POST /v1/workspaces/{workspace}/exec`.
//!
//! What a command writes is bytes. `stdout` and `stderr` are text that every language reads; where the bytes were no
//! UTF-8, they are beside it in base64, exact.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How long a command may take when nobody says, and at most.
pub const USUAL_TIMEOUT_SECONDS: u64 = 30;
/// A longer one is for `nohup`, or for a session of the agent.
pub const LONGEST_TIMEOUT_SECONDS: u64 = 300;
/// Of all words of a command together, in bytes.
pub const LONGEST_COMMAND: usize = 128 * 1024;
/// What `timeout` of coreutils leaves, too.
pub const TIMED_OUT: i32 = 124;
/// Of each stream, in bytes.
pub const MOST_OUTPUT: usize = 1024 * 1024;

/// Which program runs in the instance, as its user, in its home, without a terminal and without input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exec {
    /// The program and its arguments. No shell reads them: `["sh", "-c", "ls | wc -l"]` asks for one. At most 128 KiB together.
    #[schema(min_items = 1)]
    pub command: Vec<String>,
    /// It is ended after so many seconds; 30 by default. A provider may take less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 300)]
    pub timeout_seconds: Option<u64>,
}

/// What a command left. That it failed is no error: its exit code says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Executed {
    /// As a shell has it: 127 when there is no such program, 126 when it may not be run, 128 and a signal's number when one
    /// ended it; 124 when it was ended because its time was over.
    pub exit_code: i32,
    /// It did not end in time and was ended. What it wrote until then is here.
    #[serde(default)]
    pub timed_out: bool,
    /// The first MiB of what it wrote. Bytes that are no UTF-8 are replaced here, and exact in `stdoutBase64`.
    pub stdout: String,
    /// Only where `stdout` is not exactly what was written: the same bytes in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout_base64: Option<String>,
    /// How many bytes more it wrote, which are lost.
    pub stdout_dropped: u64,
    /// The same for what it complained.
    pub stderr: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr_base64: Option<String>,
    pub stderr_dropped: u64,
}
