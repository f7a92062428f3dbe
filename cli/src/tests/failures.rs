//! What goes wrong before or beside the work: no server, no token, a server that refuses.

use contracts::{ErrorCode, Problem};

use crate::Outcome;
use crate::tests::fake::{data_with_token, event, pilot, pilot_with, server};

async fn nowhere() -> std::net::SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn when_nothing_listens_it_says_where_and_how_to_start_it() {
    let at = nowhere().await;
    let shown = pilot(at, "ws ls").await;
    assert_eq!(shown.result.unwrap_err().code, ErrorCode::OrchestratorUnreachable);
    for part in
        [&format!("Nothing answers at http://{at}"), "-> Start Pilot with `pilot serve`", "cargo xtask up"]
    {
        assert!(shown.err.contains(part), "{part} in {}", shown.err);
    }
    let json = pilot(at, "ws ls --json").await;
    let problem: Problem = serde_json::from_str(&json.out).unwrap();
    assert_eq!((problem.code, json.err.as_str()), (ErrorCode::OrchestratorUnreachable.into(), ""));
}

#[tokio::test]
async fn a_missing_token_is_only_the_problem_when_there_is_a_server() {
    let data = tempfile::tempdir().unwrap();
    let (at, _) = server().await;
    let running = pilot_with(data.path(), "ws ls", &["--server", &format!("http://{at}")]).await;
    let problem = running.result.unwrap_err();
    assert_eq!(problem.code, ErrorCode::Unauthorized);
    assert!(problem.detail.contains(data.path().to_str().unwrap()), "{problem}");
    let silent = format!("http://{}", nowhere().await);
    let none = pilot_with(data.path(), "ws ls", &["--server", &silent]).await;
    assert_eq!(none.result.unwrap_err().code, ErrorCode::OrchestratorUnreachable);
}

#[tokio::test]
async fn the_data_folder_tells_where_its_server_is_and_the_token() {
    let data = data_with_token();
    let (at, _) = server().await;
    let endpoints = format!(r#"{{"orchestrator":{{"url":"http://{at}/","pid":1}}}}"#);
    std::fs::write(data.path().join("endpoints.json"), endpoints).unwrap();
    assert!(pilot_with(data.path(), "ws ls", &[]).await.out.contains("demo"));
}

#[tokio::test]
async fn the_servers_problem_is_shown_as_code_reason_and_way_out() {
    let (at, _) = server().await;
    let shown = pilot(at, "ws get nothing").await;
    let expected = "error: There is no such workspace (workspace_not_found)
  There is no workspace nothing.
  -> `pilot ws ls` lists the workspaces.
  request req-7; `pilot explain workspace_not_found` says more
";
    assert_eq!(shown.err, expected);
}

#[tokio::test]
async fn what_a_newer_server_says_is_shown_as_it_says_it() {
    let (at, script) = server().await;
    let newer = r#"{"type":"/docs/errors/out_of_cheese","title":"No cheese","status":409,"code":"out_of_cheese","detail":"It is gone.","retryable":false,"action":"Buy some.","smell":1}"#;
    script.lock().unwrap().problem = Some(newer.to_owned());
    let shown = pilot(at, "ws get demo").await;
    let expected = "error: No cheese (out_of_cheese)
  It is gone.
  -> Buy some.
  this version of pilot does not know the code: the server is newer
";
    assert_eq!((shown.err.as_str(), crate::exit::of(&shown.result)), (expected, crate::exit::CONFLICT));
    script.lock().unwrap().problem = None;
    script.lock().unwrap().streams =
        vec![event(1, 1, &format!(r#""type":"done","state":"failed","error":{newer}"#))];
    let failed = pilot(at, "ws create demo").await;
    assert_eq!((failed.result, failed.err.as_str()), (Ok(Outcome::Failed), expected));
}

#[tokio::test]
async fn names_that_cannot_be_are_refused_before_the_server_is_asked() {
    let (at, script) = server().await;
    for (line, code) in [
        ("ws get ../secrets", ErrorCode::InvalidSlug),
        ("ws stop Demo", ErrorCode::InvalidSlug),
        ("stack diff a/b", ErrorCode::InvalidSlug),
        ("op watch ../../x", ErrorCode::BadRequest),
    ] {
        assert_eq!(pilot(at, line).await.result.unwrap_err().code, code, "{line}");
    }
    assert!(script.lock().unwrap().asked.is_empty());
}

#[tokio::test]
async fn another_program_behind_the_address_is_recognised() {
    let other = axum::Router::new().fallback(|| async { (axum::http::StatusCode::NOT_FOUND, "<html>") });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, other).await });
    let problem = pilot(at, "ws ls").await.result.unwrap_err();
    assert!(problem.detail.contains("is not a Pilot of this version"), "{problem}");
}
