//! `ws logs -f`: what is new, until the workspace is gone.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use contracts::{ErrorCode, Problem};
use serde_json::{Value, json};

use crate::Outcome;
use crate::tests::fake::{Shared, pilot, server};

/// What the server answers.
pub async fn answer(State(script): State<Shared>) -> Response {
    let mut script = script.lock().unwrap();
    let text = script.logs.pop_front();
    if text.is_none() && script.ends {
        let problem = Problem::new(ErrorCode::WorkspaceNotFound, "There is no workspace ws_1.");
        return (StatusCode::NOT_FOUND, Json(problem)).into_response();
    }
    let text = text.unwrap_or_else(|| "one\ntwo\n".to_owned());
    match text.strip_prefix("ended:") {
        Some(text) => Json(json!({ "text": text, "ended": "the container ended: exit code 0" })),
        None => Json(json!({ "text": text })),
    }
    .into_response()
}

fn lines(range: std::ops::Range<u32>) -> String {
    range.map(|number| format!("line {number} of the log\n")).collect()
}

#[tokio::test]
async fn following_prints_each_line_once_and_ends_with_the_workspace() {
    let (at, script) = server().await;
    script.lock().unwrap().logs = [lines(0..3), lines(0..3), lines(1..6)].into();
    script.lock().unwrap().ends = true;
    let shown = pilot(at, "ws logs demo -f").await;
    assert_eq!((shown.result, shown.out), (Ok(Outcome::Done), lines(0..6)));
    assert_eq!(shown.err, "demo is deleted.\n");
    let asked = script.lock().unwrap().asked.pop().unwrap();
    assert_eq!(asked, "GET /v1/workspaces/ws_1/logs?bytes=65536");
}

#[tokio::test]
async fn the_end_of_an_instance_is_told_beside_its_log_which_goes_on_when_it_is_started_again() {
    let (at, script) = server().await;
    script.lock().unwrap().logs =
        [lines(0..3), "ended:".to_owned() + &lines(0..3), "ended:".to_owned() + &lines(0..3), lines(0..5)]
            .into();
    script.lock().unwrap().ends = true;
    let shown = pilot(at, "ws logs demo -f").await;
    assert_eq!(shown.out, lines(0..5));
    assert_eq!(shown.err, "... the container ended: exit code 0\ndemo is deleted.\n");
    script.lock().unwrap().logs = ["ended:one\n".to_owned()].into();
    let once = pilot(at, "ws logs demo").await;
    assert_eq!((once.out.as_str(), once.err.as_str()), ("one\n", "... the container ended: exit code 0\n"));
}

#[tokio::test]
async fn an_instance_that_is_made_anew_is_followed_into_its_new_log() {
    let (at, script) = server().await;
    let new: String = (0..40).map(|number| format!("new line {number}\n")).collect();
    script.lock().unwrap().logs = [lines(0..3), String::new(), new.clone(), new.clone()].into();
    script.lock().unwrap().ends = true;
    let shown = pilot(at, "ws logs demo -f").await;
    assert_eq!(shown.out, lines(0..3) + &new);
    assert_eq!(shown.err, "... the log begins anew\ndemo is deleted.\n");
    // A moment without a log is no other log.
    script.lock().unwrap().logs = [lines(0..3), String::new(), lines(0..4)].into();
    let shown = pilot(at, "ws logs demo -f").await;
    assert_eq!((shown.out.as_str(), shown.err.as_str()), (lines(0..4).as_str(), "demo is deleted.\n"));
}

#[tokio::test]
async fn a_log_that_was_replaced_is_shown_from_its_beginning() {
    let (at, script) = server().await;
    script.lock().unwrap().logs = [lines(0..3), "booting\n".to_owned()].into();
    script.lock().unwrap().ends = true;
    let shown = pilot(at, "ws logs demo --follow").await;
    assert_eq!(shown.out, lines(0..3) + "booting\n");
    assert_eq!(shown.err, "... the log begins anew\ndemo is deleted.\n");
}

#[tokio::test]
async fn more_than_fits_between_two_looks_is_said_to_be_missing() {
    let (at, script) = server().await;
    script.lock().unwrap().logs = [lines(0..3000), lines(5000..8000)].into();
    script.lock().unwrap().ends = true;
    let shown = pilot(at, "ws logs demo -f --bytes 100 --json").await;
    assert_eq!(shown.err, "... some lines were not seen\ndemo is deleted.\n");
    let texts: Vec<Value> = shown.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(texts[0]["text"], lines(2996..3000), "only as much of the first end as was asked for");
    assert_eq!(texts[1]["text"], lines(5000..8000));
}

#[tokio::test]
async fn a_log_without_anything_in_it_says_so_and_prints_nothing() {
    let (at, script) = server().await;
    script.lock().unwrap().logs = [String::new()].into();
    let shown = pilot(at, "ws logs demo").await;
    assert_eq!((shown.result, shown.out.as_str()), (Ok(Outcome::Done), ""));
    assert!(shown.err.starts_with("There is nothing in the log of demo"), "{}", shown.err);
}
