//! `ws exec`: a command's output and exit code are this command's own.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::Outcome;
use crate::exit;
use crate::tests::fake::{Shared, Shown, data_with_token, pilot_with, server};

/// What the server answers.
pub async fn answer(State(script): State<Shared>, Json(body): Json<Value>) -> Response {
    let more = body["command"][0] == "much";
    script.lock().unwrap().bodies.push(body);
    let dropped = if more { 5 } else { 0 };
    Json(json!({ "exitCode": 3, "stdout": "a\u{fffd}", "stdoutBase64": "YWI=", "stdoutDropped": dropped,
                 "stderr": "oops\n", "stderrDropped": 0 }))
    .into_response()
}

async fn exec(at: std::net::SocketAddr, line: &str, command: &[&str]) -> Shown {
    let (data, url) = (data_with_token(), format!("http://{at}"));
    pilot_with(data.path(), line, &[&["--server", &url, "--"], command].concat()).await
}

#[tokio::test]
async fn its_bytes_go_where_they_belong_and_its_exit_code_is_told() {
    let (at, script) = server().await;
    let shown = exec(at, "ws exec demo --timeout 90s", &["git", "log", "--json"]).await;
    assert_eq!(
        (shown.out.as_str(), shown.err.as_str()),
        ("ab", "oops\n"),
        "base64 is exact, the text is not"
    );
    assert_eq!(shown.result, Ok(Outcome::Told(3)));
    let body = script.lock().unwrap().bodies.pop().unwrap();
    assert_eq!(body, json!({ "command": ["git", "log", "--json"], "timeoutSeconds": 90 }));
    let shown = exec(at, "ws exec demo", &["much"]).await;
    assert!(shown.err.ends_with("pilot: 5 bytes more of its stdout are lost; let it write into a file.\n"));
    let shown = exec(at, "--json ws exec demo", &["much"]).await;
    let document: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!((document["exitCode"].as_i64(), document["stdoutBase64"].as_str()), (Some(3), Some("YWI=")));
    assert_eq!(shown.result, Ok(Outcome::Told(3)));
}

/// A server that takes a request and goes away.
async fn deserter() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut some = [0; 4096];
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut some).await;
        }
    });
    at
}

#[tokio::test]
async fn what_was_sent_and_not_answered_may_have_run_and_is_not_called_worth_a_retry() {
    let shown = exec(deserter().await, "ws exec demo", &["true"]).await;
    let problem = shown.result.clone().unwrap_err();
    assert!(!problem.retryable && problem.detail.contains("may have run"), "{problem}");
    assert_eq!(exit::of(&shown.result), exit::FAILED);

    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let shown = exec(nobody, "ws exec demo", &["true"]).await;
    let problem = shown.result.clone().unwrap_err();
    assert!(problem.retryable && !problem.detail.contains("may have run"), "{problem}");
}
