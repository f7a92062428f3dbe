//! Commands that change something and wait for its end.

use serde_json::{Value, json};

use crate::Outcome;
use crate::tests::fake::{create_events, event, pilot, server};

#[tokio::test]
async fn a_create_shows_each_phase_with_its_time_and_then_the_result() {
    let (at, script) = server().await;
    script.lock().unwrap().streams = vec![create_events().concat()];
    let shown = pilot(at, "ws create demo --provider local --git https://host/a.git --ref main").await;
    assert_eq!(shown.result, Ok(Outcome::Done));
    assert_eq!(shown.out, "demo is ready after 5.0 s. `pilot ws open demo` prints a link to it.\n");
    let expected = "  queued     0 ms
  planned    1.0 s
    + pilot:local:Directory home  1.0 s
  applied    2.0 s
  ready      2.0 s
";
    assert_eq!(shown.err, expected);
    let body =
        json!({"slug": "demo", "provider": "local", "git": {"url": "https://host/a.git", "ref": "main"}});
    assert_eq!(script.lock().unwrap().bodies, [body]);
}

#[tokio::test]
async fn a_create_sends_whose_it_is_and_its_labels() {
    let (at, script) = server().await;
    let line = "ws create demo --owner ada --label team=core --label task= --no-wait";
    assert_eq!(pilot(at, line).await.result, Ok(Outcome::Done));
    let body = json!({"slug": "demo", "owner": "ada", "labels": {"team": "core", "task": ""}});
    assert_eq!(script.lock().unwrap().bodies, [body]);
}

#[tokio::test]
async fn a_restart_and_an_apply_wait_like_every_change() {
    let (at, script) = server().await;
    let done = event(2, 1, r#""type":"done","state":"succeeded""#);
    script.lock().unwrap().streams = vec![event(1, 0, r#""type":"phase","phase":"queued""#) + &done];
    for (line, path) in [("ws restart demo", "restart"), ("stack apply demo", "apply")] {
        script.lock().unwrap().asked.clear();
        let shown = pilot(at, line).await;
        assert!(shown.out.starts_with("demo is ready after 1.0 s."), "{}", shown.out);
        assert_eq!(script.lock().unwrap().asked[0], format!("POST /v1/workspaces/demo/{path}"));
        let accepted = pilot(at, &format!("{line} --no-wait --json")).await.out;
        assert_eq!(serde_json::from_str::<Value>(&accepted).unwrap()["type"], "accepted");
    }
}

#[tokio::test]
async fn a_rename_says_the_new_name_and_needs_no_waiting() {
    let (at, script) = server().await;
    let shown = pilot(at, "ws rename demo notes").await;
    assert_eq!(shown.out, "demo is now notes. `pilot ws open notes` prints a link to it.\n");
    let json: Value = serde_json::from_str(&pilot(at, "ws rename demo notes --json").await.out).unwrap();
    assert_eq!(json["slug"], "notes");
    assert_eq!(script.lock().unwrap().bodies, [json!({"slug": "notes"}), json!({"slug": "notes"})]);
}

#[tokio::test]
async fn with_json_every_event_is_a_line_and_the_last_line_is_the_workspace() {
    let (at, script) = server().await;
    script.lock().unwrap().streams = vec![create_events().concat()];
    let shown = pilot(at, "ws create demo --json").await;
    assert_eq!((shown.result, shown.err.as_str()), (Ok(Outcome::Done), ""));
    let lines: Vec<Value> = shown.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap_or("-")).collect();
    assert_eq!(kinds, ["accepted", "phase", "phase", "resource", "resource", "phase", "phase", "done", "-"]);
    assert_eq!(lines[0]["operation"]["id"], "op-1");
    assert_eq!(lines[8]["state"], "ready");
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_taken_up_where_it_was() {
    let (at, script) = server().await;
    let events = create_events();
    // The first ends in the middle of an event; the second begins with one that was seen already.
    let cut = format!("{}{}", events[..4].concat(), &events[4][..20]);
    script.lock().unwrap().streams = vec![cut, events[3..].concat()];
    let shown = pilot(at, "ws create demo").await;
    assert_eq!(shown.result, Ok(Outcome::Done));
    assert_eq!(shown.err.matches("Directory home").count(), 1, "{}", shown.err);
    assert_eq!(shown.err.lines().count(), 5);
    assert_eq!(script.lock().unwrap().opened, [None, Some("4".to_owned())]);
}

#[tokio::test]
async fn a_failed_operation_is_its_problem() {
    let (at, script) = server().await;
    let problem = r#"{"type":"/docs/errors/git_not_found","title":"T","status":422,"code":"git_not_found","detail":"No ref nope.","retryable":false,"action":"Name a branch."}"#;
    let message = event(2, 1, r#""type":"message","severity":"warning","text":"slow\n""#);
    let done = event(3, 2, &format!(r#""type":"done","state":"failed","error":{problem}"#));
    script.lock().unwrap().streams =
        vec![event(1, 0, r#""type":"phase","phase":"queued""#) + &message + &done];
    let shown = pilot(at, "ws create demo").await;
    assert_eq!(shown.result, Ok(Outcome::Failed));
    assert!(shown.err.contains("(git_not_found)"), "{}", shown.err);
    assert!(shown.err.contains("  warning: slow\n"), "{}", shown.err);
    assert!(shown.err.contains("  No ref nope.\n  -> Name a branch.\n"), "{}", shown.err);
    let silent = script.lock().unwrap().streams[0].replace(r#","action":"Name a branch.""#, "");
    script.lock().unwrap().streams = vec![silent];
    let shown = pilot(at, "ws create demo").await;
    assert!(shown.err.contains("`pilot ws start demo` tries again"), "{}", shown.err);
    let deleted = script.lock().unwrap().streams[0].replace("git_not_found", "canceled");
    let silent = std::mem::replace(&mut script.lock().unwrap().streams[0], deleted);
    assert!(!pilot(at, "ws create demo").await.err.contains("->"));
    script.lock().unwrap().streams = vec![silent];
    let shown = pilot(at, "ws create demo --json").await;
    let last: Value = serde_json::from_str(shown.out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["code"], shown.err.as_str()), (&json!("git_not_found"), ""));
}

#[tokio::test]
async fn without_waiting_the_operation_is_named() {
    let (at, script) = server().await;
    let shown = pilot(at, "ws create demo --no-wait").await;
    assert_eq!(shown.out, "demo: accepted as op-1; `pilot op watch op-1` follows it.\n");
    let shown = pilot(at, "ws create demo --no-wait --json").await;
    assert_eq!(serde_json::from_str::<Value>(&shown.out).unwrap()["operation"]["id"], "op-1");
    assert!(script.lock().unwrap().opened.is_empty());
}

#[tokio::test]
async fn a_plan_makes_nothing() {
    let (at, script) = server().await;
    script.lock().unwrap().drift = true;
    let shown = pilot(at, "ws create demo --plan").await;
    assert_eq!(shown.out, "  update   pilot:local:Directory home  [path]\nStack rt-1: 1 update.\n");
    assert_eq!(script.lock().unwrap().asked, ["POST /v1/preview"]);
}

#[tokio::test]
async fn stop_and_delete_end_with_what_became_of_the_workspace() {
    let (at, script) = server().await;
    let done = event(2, 1, r#""type":"done","state":"succeeded""#);
    script.lock().unwrap().streams = vec![event(1, 0, r#""type":"phase","phase":"queued""#) + &done];
    assert_eq!(pilot(at, "ws stop demo").await.out, "demo is stopped after 1.0 s.\n");
    assert_eq!(pilot(at, "ws rm demo --yes").await.out, "demo is deleted after 1.0 s.\n");
    let json = pilot(at, "ws rm demo --json --yes").await;
    let last: Value = serde_json::from_str(json.out.lines().last().unwrap()).unwrap();
    assert_eq!(last["type"], "done");
}

#[tokio::test]
async fn a_delete_that_keeps_the_files_says_until_when_and_how_to_have_them_back_or_gone() {
    let (at, script) = server().await;
    script.lock().unwrap().streams = vec![event(1, 0, r#""type":"done","state":"succeeded""#)];
    script.lock().unwrap().with = json!({"homeUntil": "2026-11-24T10:00:00Z"});
    let shown = pilot(at, "ws rm demo --yes").await;
    assert_eq!(shown.out, "demo is deleted after 0 ms.\n");
    let words = "Its files are kept until 2026-11-24T10:00:00Z: `pilot ws restore ws_1` brings it back, `pilot ws rm --purge ws_1` removes \
                 them now.\n";
    assert!(shown.err.ends_with(words), "{}", shown.err);
    script.lock().unwrap().with = Value::Null;
    let shown = pilot(at, "ws rm demo --yes").await;
    assert!(shown.out == "demo is deleted after 0 ms.\n" && !shown.err.contains("kept"), "{}", shown.err);
}

#[tokio::test]
async fn an_update_of_the_size_alone_asks_for_nothing_else() {
    let (at, script) = server().await;
    assert_eq!(pilot(at, "ws update demo --size large --no-wait").await.result, Ok(Outcome::Done));
    assert_eq!(script.lock().unwrap().asked, ["POST /v1/workspaces/demo/update"]);
    assert_eq!(script.lock().unwrap().bodies, [json!({"size": "large"})]);
}

#[tokio::test]
async fn several_are_asked_before_one_is_watched_and_the_first_failure_is_the_exit_code() {
    let (at, script) = server().await;
    script.lock().unwrap().streams = vec![event(1, 0, r#""type":"done","state":"succeeded""#)];
    let shown = pilot(at, "ws stop one nothing demo one").await;
    assert_eq!(crate::exit::of(&shown.result), crate::exit::NOT_FOUND);
    assert_eq!(shown.out, "demo is stopped after 0 ms.\n".repeat(2));
    assert!(shown.err.starts_with("nothing:\nerror: There is no such workspace"), "{}", shown.err);
    let asked = script.lock().unwrap().asked.clone();
    let stop = |name: &str| format!("POST /v1/workspaces/{name}/stop");
    assert_eq!(
        asked[..3],
        [stop("one"), stop("nothing"), stop("demo")],
        "each once, and none is watched yet"
    );
    let failed = r#""type":"done","state":"failed","error":{"type":"/x","title":"T","status":502,"code":"instance_failed","detail":"D.","retryable":false}"#;
    script.lock().unwrap().streams = vec![event(1, 0, failed)];
    let shown = pilot(at, "ws stop one demo nothing").await;
    assert_eq!(crate::exit::of(&shown.result), crate::exit::NOT_FOUND, "the request failed first");
    assert_eq!(crate::exit::of(&pilot(at, "ws stop one demo").await.result), crate::exit::FAILED);
}

#[tokio::test]
async fn all_are_taken_by_their_ids_and_none_is_no_failure() {
    let (at, script) = server().await;
    script.lock().unwrap().streams = vec![event(1, 0, r#""type":"done","state":"succeeded""#)];
    let mut second = crate::tests::fake::workspace("ready");
    second["id"] = json!("ws_2");
    script.lock().unwrap().more = vec![second];
    assert_eq!(pilot(at, "ws stop --all --no-wait").await.result, Ok(Outcome::Done));
    let asked = script.lock().unwrap().asked.clone();
    assert!(asked.contains(&"POST /v1/workspaces/ws_1/stop".to_owned()), "{asked:?}");
    assert!(asked.contains(&"POST /v1/workspaces/ws_2/stop".to_owned()), "{asked:?}");
    assert!(pilot(at, "ws rm --all").await.err.contains("whether all workspaces may be deleted"));
    script.lock().unwrap().more.clear();
    let shown = pilot(at, "ws resume --all").await;
    assert_eq!((shown.result, shown.err.as_str()), (Ok(Outcome::Done), "There is none to change.\n"));
}

#[tokio::test]
async fn of_all_what_is_being_deleted_is_passed_over_and_is_no_failure() {
    let (at, script) = server().await;
    script.lock().unwrap().streams = vec![event(1, 0, r#""type":"done","state":"succeeded""#)];
    let going = |id: &str, slug: &str, desired: &str| {
        let mut one = crate::tests::fake::workspace("ready");
        (one["id"], one["slug"], one["desired"]) = (json!(id), json!(slug), json!(desired));
        one
    };
    // The delete of the second was accepted after the list.
    script.lock().unwrap().more = vec![going("ws_2", "going", "deleted"), going("ws_9", "gone", "running")];
    let shown = pilot(at, "ws stop --all").await;
    assert_eq!(shown.result, Ok(Outcome::Done), "{}", shown.err);
    assert!(shown.err.contains("going: passed over, it is being deleted.\n"), "{}", shown.err);
    assert!(shown.err.contains("gone: passed over, it is gone, or being deleted.\n"), "{}", shown.err);
    let asked = script.lock().unwrap().asked.clone();
    assert!(!asked.iter().any(|asked| asked.contains("ws_2")), "{asked:?}");
}

#[tokio::test]
async fn nothing_is_deleted_where_nobody_can_be_asked() {
    let (at, script) = server().await;
    for command in ["ws rm demo", "ws rm demo --json"] {
        let refused = pilot(at, command).await;
        assert!(format!("{}{}", refused.out, refused.err).contains("--yes"), "{command}");
    }
    assert!(script.lock().unwrap().asked.is_empty());
}

#[tokio::test]
async fn an_operation_can_be_watched_again() {
    let (at, script) = server().await;
    script.lock().unwrap().streams = vec![create_events().concat()];
    assert_eq!(pilot(at, "op watch op-1").await.out, "The create of demo succeeded after 5.0 s.\n");
    let shown = pilot(at, "op get op-1").await;
    assert_eq!(shown.out, "op-1 (create of demo): succeeded\n  queued     0 ms\n  ready      5.0 s\n");
}

#[tokio::test]
async fn a_cancel_waits_for_the_end_it_has_asked_for() {
    let (at, script) = server().await;
    script.lock().unwrap().running = true;
    let canceled = r#"{"type":"/docs/errors/canceled","title":"T","status":409,"code":"canceled","detail":"Canceled.","retryable":false}"#;
    let done = event(1, 2, &format!(r#""type":"done","state":"canceled","error":{canceled}"#));
    script.lock().unwrap().streams = vec![done];
    let shown = pilot(at, "op cancel op-1").await;
    assert_eq!(shown.result, Ok(Outcome::Done));
    assert_eq!(shown.out, "op-1 (create of demo): canceled.\n");
    assert!(script.lock().unwrap().asked.contains(&"POST /v1/operations/op-1/cancel".to_owned()));
}

#[tokio::test]
async fn a_cancel_of_what_has_ended_says_how_that_was() {
    let (at, _) = server().await;
    let shown = pilot(at, "op cancel op-1").await;
    assert_eq!(shown.out, "op-1 (create of demo): had succeeded already.\n");
}

#[tokio::test]
async fn a_workspace_can_be_forgotten_without_its_provider() {
    let (at, script) = server().await;
    script.lock().unwrap().streams = vec![event(1, 2, r#""type":"done","state":"succeeded""#)];
    let shown = pilot(at, "ws rm demo --yes --forget").await;
    assert_eq!(shown.result, Ok(Outcome::Done));
    assert!(script.lock().unwrap().asked.contains(&"DELETE /v1/workspaces/demo?forget=true".to_owned()));
}

#[tokio::test]
async fn what_is_kept_is_purged_by_name_or_all_of_it_and_one_that_fails_keeps_no_other() {
    let (at, script) = server().await;
    script.lock().unwrap().streams = vec![event(1, 2, r#""type":"done","state":"succeeded""#)];
    let asked = |name: &str| format!("DELETE /v1/workspaces/{name}?purge=true&deleted=true");
    let shown = pilot(at, "ws rm --purge --deleted one nothing demo --yes").await;
    assert_eq!(crate::exit::of(&shown.result), crate::exit::NOT_FOUND, "{}", shown.err);
    let seen = std::mem::take(&mut script.lock().unwrap().asked);
    for name in ["one", "nothing", "demo"] {
        assert!(seen.contains(&asked(name)), "{seen:?}");
    }

    // Of all, those that the server lists as deleted; by their ids.
    script.lock().unwrap().deleted = false;
    assert_eq!(pilot(at, "ws rm --purge --deleted --all --yes").await.result, Ok(Outcome::Done));
    let seen = std::mem::take(&mut script.lock().unwrap().asked);
    assert_eq!(seen[0], "GET /v1/workspaces?limit=1000&deleted=true");
    assert_eq!(seen[1], asked("ws_1"));

    let refused = pilot(at, "ws rm --purge --deleted --all").await;
    assert!(refused.err.contains("whether all that is kept may be deleted"), "{}", refused.err);
}
