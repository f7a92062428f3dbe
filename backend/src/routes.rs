//! The route table of the API surface: what is ours, what goes to OpenCode, what is refused. Pure.
//!
//! OpenCode answers every unknown GET with its web page and status 200, and has a second, different
//! API under its own `/api`. So `/api` is always stripped, and only the routes of this list pass.

use crate::path;

/// What to do with a request whose path began with `/api`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Capabilities,
    /// A connection to an SSH server, or what there is to know before one.
    Ssh,
    /// The name of a capability that this instance does not have.
    Unsupported(&'static str),
    /// OpenCode's v1 API. The path without `/api` goes on unchanged.
    OpenCode,
    /// Not in the list, or a path that could be read in two ways.
    Unknown,
}

/// OpenCode 1.18's v1 routes. `*` is one segment, `**` is any number of further segments, none included.
///
/// Left out on purpose:
/// - `global/upgrade` would replace the pinned binary; `global/dispose` and `instance/dispose` end
///   every running session, which is the lifecycle API's to decide.
/// - `tui/**` steers a terminal UI that no instance has.
/// - `sync/**`, `experimental/control-plane/**`, `experimental/workspace/**`,
///   `experimental/console/**` and `experimental/project/**` move sessions between OpenCode servers
///   and accounts; in Pilot a workspace is one server.
///
/// `auth/*` is in: it stores or removes a model provider's key and never gives one back. Without it no
/// one could give their own workspace a model, and whoever may prompt the agent can run commands anyway.
const OPENCODE: &[&str] = &[
    "session/**",
    "event",
    "global/event",
    "global/config",
    "global/health",
    "config",
    "config/providers",
    "provider/**",
    "auth/*",
    "path",
    "project/**",
    "agent",
    "command",
    "skill",
    "mcp/**",
    "lsp",
    "formatter",
    "vcs/**",
    "question/**",
    "permission/**",
    "file/**",
    "find/**",
    "pty/**",
    "experimental/capabilities",
    "experimental/resource",
    "experimental/session/**",
    "experimental/tool/**",
    "experimental/worktree/**",
    "log",
    "doc",
];

/// Judges the path that follows `/api`, without the query.
pub(crate) fn route(path: &str) -> Route {
    let Some(segments) = path::segments(path) else {
        return Route::Unknown;
    };
    match segments.as_slice() {
        ["capabilities"] => Route::Capabilities,
        ["ssh"] => Route::Ssh,
        ["terminal", ..] => Route::Unsupported("terminal"),
        ["fs", ..] => Route::Unsupported("fs"),
        ["git", ..] => Route::Unsupported("git"),
        _ if OPENCODE.iter().any(|pattern| matches(pattern, &segments)) => Route::OpenCode,
        _ => Route::Unknown,
    }
}

/// Literals are compared with the raw segment, so `%73ession` is not `session`.
fn matches(pattern: &str, segments: &[&str]) -> bool {
    let mut rest = segments.iter();
    for part in pattern.split('/') {
        match (part, rest.next()) {
            ("**", _) => return true,
            ("*", Some(_)) => {}
            (literal, Some(segment)) if literal == *segment => {}
            _ => return false,
        }
    }
    rest.next().is_none()
}

#[cfg(test)]
mod tests;
