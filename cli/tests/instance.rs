//! What scripts see of commands in instances: exit codes, signals, and what is at stdin.

#![allow(clippy::unwrap_used)]

use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::{Json, Router, routing};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);

fn pilot(server: &str, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilot"));
    let config = std::env::temp_dir().join(format!("pilot-cli-{}", std::process::id()));
    command
        .args(words)
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("PATH", std::env::var_os("PATH").unwrap());
    command.env("PILOT_TOKEN", "secret").env("PILOT_SERVER", server).env("PILOT_CONFIG", config);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// A server whose every command leaves this.
async fn leaving(done: Value) -> String {
    let answer = routing::post(move || std::future::ready(Json(done)));
    serve(Router::new().route("/v1/workspaces/{name}/exec", answer)).await
}

async fn ended(child: Child) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        timeout(DEADLINE, child.wait_with_output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn left(exit_code: i32, timed_out: bool) -> Value {
    json!({ "exitCode": exit_code, "timedOut": timed_out, "stdout": "so far\n", "stdoutDropped": 0,
            "stderr": "oops\n", "stderrDropped": 0 })
}

#[tokio::test]
async fn a_command_whose_time_is_over_has_its_output_and_the_exit_code_of_timeout() {
    let server = leaving(left(124, true)).await;
    for (limit, seconds, more) in [
        ("6s", "6", "give it more with --timeout, at most 5m"),
        ("5m", "300", "a longer one can go on in the background, with nohup"),
    ] {
        let words = ["ws", "exec", "demo", "--timeout", limit, "--", "make", "-C", "x"];
        let (code, out, err) = ended(pilot(&server, &words).spawn().unwrap()).await;
        assert_eq!((code, out.as_str()), (Some(124), "so far\n"));
        assert_eq!(err, format!("oops\npilot: make did not end within {seconds} s and was ended; {more}.\n"));
    }
    let (code, out, err) =
        ended(pilot(&server, &["ws", "exec", "demo", "--json", "--", "make"]).spawn().unwrap()).await;
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["timedOut"], err.as_str()), (Some(124), &json!(true), ""));
}

#[tokio::test]
async fn what_waits_at_stdin_is_told_to_be_unread_and_nothing_else_is() {
    let server = leaving(left(0, false)).await;
    let words = ["ws", "exec", "demo", "--", "cat"];
    let mut silent = pilot(&server, &words);
    // A pipe in which nothing is, and that nobody ends.
    let mut silent = silent.stdin(Stdio::piped()).spawn().unwrap();
    let held = silent.stdin.take().unwrap();
    assert_eq!(ended(silent).await.2, "oops\n");
    drop(held);
    let mut heard = pilot(&server, &words).stdin(Stdio::piped()).spawn().unwrap();
    heard.stdin.take().unwrap().write_all(b"x\n").await.unwrap();
    let (code, _, err) = ended(heard).await;
    assert_eq!(code, Some(0));
    assert!(err.contains("at stdin was not read") && err.contains("`pilot ws ssh demo -- COMMAND`"), "{err}");
}

/// Tells when it is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_signal_ends_the_request_of_a_command_and_has_its_exit_code() {
    let (asked, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let given = (asked.clone(), gone.clone());
    let answer = routing::post(move || async move {
        let _waits = Dropped(given.1);
        given.0.notify_one();
        std::future::pending::<()>().await;
    });
    let server = serve(Router::new().route("/v1/workspaces/{name}/exec", answer)).await;
    for (signal, expected) in [("-INT", 130), ("-TERM", 143)] {
        let child = pilot(&server, &["ws", "exec", "demo", "--", "sleep", "600"]).spawn().unwrap();
        timeout(DEADLINE, asked.notified()).await.unwrap();
        let pid = child.id().unwrap().to_string();
        std::process::Command::new("kill").args([signal, &pid]).status().unwrap();
        assert_eq!(ended(child).await.0, Some(expected), "{signal}");
        timeout(DEADLINE, gone.notified()).await.unwrap();
    }
}

#[tokio::test]
async fn a_time_that_no_command_can_have_is_refused_before_anything_is_sent() {
    for given in ["0", "6m", "301s", "90", "1d"] {
        let words = ["ws", "exec", "demo", "--timeout", given, "--", "true"];
        let (code, _, err) = ended(pilot("http://127.0.0.1:9", &words).spawn().unwrap()).await;
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(&format!("'{given}'")) && err.contains("1s to 5m"), "{err}");
    }
}

/// Scripts tell "the command ended with 6" from "there was no way to it".
#[tokio::test]
async fn ssh_that_does_not_get_there_has_the_exit_code_of_ssh_for_that() {
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for server in [format!("http://{nowhere}"), serve(Router::new()).await] {
        for json in [&[][..], &["--json"]] {
            let words = [&["ws", "ssh", "demo"], json, &["--", "exit 6"]].concat();
            let (code, out, err) = ended(pilot(&server, &words).spawn().unwrap()).await;
            assert_eq!(code, Some(255), "{out}{err}");
            assert!([out, err].concat().contains(if json.is_empty() { "error: " } else { "\"code\"" }));
        }
    }
}
