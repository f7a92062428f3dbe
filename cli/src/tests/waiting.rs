//! `ws wait`: until what, for how long, and what its end means.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Json, Router, routing};
use contracts::{ErrorCode, Problem};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::tests::fake::{self, Shared, event, pilot, server};
use crate::{Outcome, exit};

/// The usual server, but what it tells of an operation stops after its first phase for a while, and its store is away.
async fn hesitant(is_ready: bool) -> SocketAddr {
    let events = || async {
        let first = event(1, 0, r#""type":"phase","phase":"booted""#);
        let last = event(2, 1, r#""type":"done","state":"succeeded""#);
        let parts = futures_util::stream::iter([(0, first), (1500, last)]).then(|(pause, part)| async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            Ok::<_, std::convert::Infallible>(part)
        });
        ([("content-type", "text/event-stream")], axum::body::Body::from_stream(parts))
    };
    let ready = move || async move {
        match is_ready {
            true => Json(json!({})).into_response(),
            false => {
                let problem = Problem::new(ErrorCode::StoreUnavailable, "The store did not answer.");
                (StatusCode::SERVICE_UNAVAILABLE, Json(problem)).into_response()
            }
        }
    };
    let router = Router::new()
        .route("/v1/operations/{id}/events", routing::get(events))
        .route("/ready", routing::get(ready))
        .fallback_service(fake::router().0);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    at
}

#[tokio::test]
async fn an_operation_that_tells_nothing_is_said_to_be_under_way_once_and_why_it_waits() {
    for (is_ready, why) in [(true, ""), (false, ": The store did not answer.")] {
        let shown = pilot(hesitant(is_ready).await, "op watch op-1").await;
        assert_eq!(shown.result, Ok(Outcome::Done));
        let still: Vec<_> = shown.err.lines().filter(|line| line.contains("still")).collect();
        assert_eq!(still.len(), 1, "{}", shown.err);
        assert!(
            still[0].starts_with("  still booted, for ") && still[0].ends_with(&format!("ms{why}")),
            "{}",
            still[0]
        );
    }
}

#[tokio::test]
async fn a_wait_ends_when_the_workspace_is_as_it_is_wanted() {
    let (at, script) = server().await;
    script.lock().unwrap().states = ["provisioning", "booting", "ready"].into();
    let shown = pilot(at, "ws wait demo").await;
    assert_eq!(shown.out, "demo is ready. `pilot ws open demo` prints a link to it.\n");
    assert_eq!((shown.err.as_str(), exit::of(&shown.result)), ("", exit::DONE));
    let asked = script.lock().unwrap().asked.clone();
    let by_id = "GET /v1/workspaces/ws_1";
    assert_eq!(asked, ["GET /v1/workspaces/demo", by_id, by_id, "GET /v1/operations/op-1"]);
    script.lock().unwrap().states = ["stopping", "stopped"].into();
    let json: Value =
        serde_json::from_str(&pilot(at, "ws wait demo --for stopped --json").await.out).unwrap();
    assert_eq!(json["state"], "stopped");
}

#[tokio::test]
async fn what_is_waited_for_to_be_deleted_may_be_gone_already() {
    let (at, script) = server().await;
    script.lock().unwrap().states = ["failed", "deleting", "deleted"].into();
    assert_eq!(pilot(at, "ws wait demo --for deleted").await.out, "demo is deleted.\n");
    let gone = pilot(at, "ws wait demo --for deleted --json").await;
    assert_eq!((exit::of(&gone.result), gone.out.as_str()), (exit::DONE, ""));
    let gone = pilot(at, "ws wait demo --for deleted").await;
    assert_eq!(gone.out, "There is no demo: it is deleted, or there never was one.\n");
    assert_eq!(exit::of(&pilot(at, "ws wait demo").await.result), exit::NOT_FOUND);
}

#[tokio::test]
async fn a_wait_that_takes_too_long_says_what_was_seen_last() {
    let (at, script) = server().await;
    script.lock().unwrap().state = "booting";
    let shown = pilot(at, "ws wait demo --timeout 1").await;
    assert!(shown.err.contains("demo was not ready after 1 s: it is booting."), "{}", shown.err);
    assert_eq!(exit::of(&shown.result), exit::UNREACHABLE);
    assert_eq!(shown.result.unwrap_err().code, ErrorCode::TimedOut);
}

#[tokio::test]
async fn a_failure_ends_the_wait_unless_something_is_under_way() {
    let (at, script) = server().await;
    script.lock().unwrap().state = "failed";
    script.lock().unwrap().with = json!({"error": Problem::new(ErrorCode::GitNotFound, "No ref nope.")});
    let shown = pilot(at, "ws wait demo").await;
    assert_eq!((exit::of(&shown.result), shown.result), (exit::FAILED, Ok(Outcome::Failed)));
    assert!(shown.err.contains("No ref nope."), "{}", shown.err);
    until_ready(&script, &["failed", "failed", "ready"]);
    assert_eq!(pilot(at, "ws wait demo").await.result, Ok(Outcome::Done));
}

/// The operation runs until all these states were seen.
fn until_ready(script: &Shared, states: &[&'static str]) {
    script.lock().unwrap().running = true;
    script.lock().unwrap().states = states.iter().copied().collect();
    let script = script.clone();
    tokio::spawn(async move {
        while !script.lock().unwrap().states.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        script.lock().unwrap().running = false;
    });
}

#[tokio::test]
async fn what_is_ready_until_its_restart_begins_is_not_ready_yet() {
    let (at, script) = server().await;
    until_ready(&script, &["ready", "ready", "stopping", "booting", "ready"]);
    assert_eq!(pilot(at, "ws wait demo").await.result, Ok(Outcome::Done));
    assert!(script.lock().unwrap().states.is_empty(), "it was waited for the last one");
}

#[tokio::test]
async fn a_server_that_is_away_for_a_moment_does_not_end_the_wait() {
    let (at, script) = server().await;
    script.lock().unwrap().states = ["booting", "away", "ready"].into();
    assert_eq!(pilot(at, "ws wait demo").await.result, Ok(Outcome::Done));
    script.lock().unwrap().states = ["away", "ready"].into();
    assert_eq!(exit::of(&pilot(at, "ws wait demo").await.result), exit::UNREACHABLE, "it was never there");
}
