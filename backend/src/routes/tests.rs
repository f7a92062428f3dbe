use proptest::prelude::*;

use super::*;

#[test]
fn the_v1_routes_that_a_ui_uses_reach_opencode() {
    for path in [
        "/session",
        "/session/status",
        "/session/ses_1",
        "/session/ses_1/message",
        "/session/ses_1/message/msg_1/part/prt_1",
        "/session/ses_1/prompt_async",
        "/event",
        "/global/event",
        "/global/config",
        "/global/health",
        "/config",
        "/config/providers",
        "/provider",
        "/provider/x/oauth/authorize",
        "/auth/anthropic",
        "/path",
        "/project",
        "/project/current",
        "/project/git/init",
        "/agent",
        "/command",
        "/skill",
        "/mcp",
        "/mcp/x/auth/callback",
        "/lsp",
        "/formatter",
        "/vcs",
        "/vcs/diff/raw",
        "/question/q1/reply",
        "/permission/p1/reply",
        "/file/content",
        "/find/symbol",
        "/pty",
        "/pty/pty_1/connect",
        "/experimental/session/ses_1/background",
        "/experimental/tool/ids",
        "/experimental/worktree/reset",
        "/log",
        "/doc",
    ] {
        assert_eq!(route(path), Route::OpenCode, "{path}");
    }
}

#[test]
fn control_routes_and_unknown_ones_do_not_pass() {
    for path in [
        "/global/upgrade",
        "/global/dispose",
        "/instance/dispose",
        "/auth",
        "/auth/x/y",
        "/tui/publish",
        "/sync/steal",
        "/experimental/control-plane/move-session",
        "/experimental/workspace",
        "/config/settings",
        "/sessions/ses_1/message-sent",
        "/api/session",
        "/Session",
        "/%73ession",
        "/sessionx",
        "/global",
        "/index.html",
        "/",
        "",
    ] {
        assert_eq!(route(path), Route::Unknown, "{path}");
    }
}

#[test]
fn groups_that_an_instance_does_not_serve_yet_are_named() {
    assert_eq!(route("/terminal/create"), Route::Unsupported("terminal"));
    assert_eq!(route("/fs/list"), Route::Unsupported("fs"));
    assert_eq!(route("/git/status"), Route::Unsupported("git"));
    assert_eq!(route("/capabilities"), Route::Capabilities);
    assert_eq!(route("/capabilities/x"), Route::Unknown);
}

/// Decodes until nothing changes and resolves dot segments, as the most lenient parser might.
fn most_lenient_reading(path: &str) -> String {
    let mut text = path.to_owned();
    for _ in 0..8 {
        text = lenient_decode(&text).replace('\\', "/");
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn lenient_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        decoded.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn tricky_segment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("session".to_owned()),
        Just("global".to_owned()),
        Just("upgrade".to_owned()),
        Just("config".to_owned()),
        Just("api".to_owned()),
        prop::collection::vec(
            prop::sample::select(vec![
                ".", "..", "%2e", "%2E", "%252e", "%2f", "%2F", "%5c", "\\", "/", "//", "%", "%00", ";", "a",
                "%61", "%25",
            ]),
            0..5
        )
        .prop_map(|parts| parts.concat()),
        "\\PC{0,6}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn no_trick_with_the_path_reaches_a_route_outside_the_list(
        parts in prop::collection::vec(tricky_segment(), 0..6)
    ) {
        let path = format!("/{}", parts.join("/"));
        if route(&path) == Route::OpenCode {
            let read = most_lenient_reading(&path);
            prop_assert_eq!(route(&read), Route::OpenCode, "{} is read as {}", path, read);
            prop_assert_eq!(read.split('/').nth(1), path.split('/').nth(1), "{}", path);
            prop_assert!(!read.starts_with("/global/upgrade") && !read.starts_with("/api"), "{}", path);
        }
    }

    #[test]
    fn judging_a_path_never_panics(path in "\\PC*") {
        let _ = route(&path);
    }
}
