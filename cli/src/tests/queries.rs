//! Commands that only look.

use contracts::ErrorCode;
use serde_json::{Value, json};

use crate::Outcome;
use crate::tests::fake::{pilot, pilot_with, server};

#[tokio::test]
async fn a_state_is_imported_from_a_file_or_a_pipe_and_what_is_no_json_is_not_sent() {
    let (at, script) = server().await;
    let data = crate::tests::fake::data_with_token();
    let file = data.path().join("demo.state");
    std::fs::write(&file, r#"{"version":3,"deployment":{}}"#).unwrap();
    let server = format!("http://{at}");
    let more = ["--server", &server];
    let line = format!("stack import demo --from {}", file.display());
    let shown = pilot_with(data.path(), &line, &more).await;
    assert!(shown.out.contains("/data/pulumi/replaced/rt-1.x.json has the state of before"), "{}", shown.out);
    assert!(shown.err.contains("`pilot stack diff demo`"), "{}", shown.err);
    let piped = crate::tests::fake::pilot_hearing("{\"a\":1}", data.path(), "stack import demo", &more).await;
    assert_eq!(piped.result, Ok(Outcome::Done));
    let expected = [json!({"version": 3, "deployment": {}}), json!({"a": 1})];
    assert_eq!(script.lock().unwrap().bodies, expected);
    std::fs::write(&file, "{").unwrap();
    let refused = pilot_with(data.path(), &line, &more).await;
    assert!(refused.err.contains(file.to_str().unwrap()), "{}", refused.err);
    assert_eq!(script.lock().unwrap().bodies, expected);
}

#[tokio::test]
async fn workspaces_are_listed_in_columns_or_as_the_servers_document() {
    let (at, script) = server().await;
    let shown = pilot(at, "ws ls").await;
    let mut lines = shown.out.lines();
    assert!(lines.next().unwrap().starts_with("NAME  STATE"), "{}", shown.out);
    assert!(lines.next().unwrap().starts_with("demo  ready"), "{}", shown.out);
    let json: Value = serde_json::from_str(&pilot(at, "ws ls --json").await.out).unwrap();
    assert_eq!(json["workspaces"][0]["slug"], "demo");
    script.lock().unwrap().deleted = true;
    let empty = pilot(at, "ws list").await;
    assert_eq!((empty.out.as_str(), empty.err.contains("pilot ws create")), ("", true));
}

#[tokio::test]
async fn one_workspace_is_shown_with_what_is_known_of_it() {
    let (at, _) = server().await;
    let shown = pilot(at, "ws get demo").await;
    for line in ["name       demo", "url        http://demo.localhost:1/", "operation  op-1"] {
        assert!(shown.out.lines().any(|shown| shown == line), "{line} in {}", shown.out);
    }
    assert_eq!(pilot(at, "ws logs demo --bytes 10").await.out, "one\ntwo\n");
}

#[tokio::test]
async fn open_prints_the_link_and_nothing_else_to_stdout() {
    let (at, script) = server().await;
    let shown = pilot(at, "ws open demo --browser").await;
    assert_eq!(
        (shown.out.as_str(), shown.err.as_str()),
        ("http://demo.localhost:1/_pilot/login?code=x\n", "")
    );
    script.lock().unwrap().state = "stopped";
    let stopped = pilot(at, "ws open demo").await;
    assert!(stopped.err.contains("`pilot ws start demo`; the page waits"), "{}", stopped.err);
    script.lock().unwrap().state = "booting";
    let early = pilot(at, "ws open demo").await;
    assert!(early.err.contains("demo is booting") && early.out.lines().count() == 1, "{}", early.err);
    assert_eq!(pilot(at, "ws open nothing").await.result.unwrap_err().code, ErrorCode::WorkspaceNotFound);
}

#[tokio::test]
async fn drift_is_shown_and_can_be_the_exit_code() {
    let (at, script) = server().await;
    let same = pilot(at, "stack diff demo --exit-code").await;
    assert_eq!((same.result, same.out.starts_with("No drift")), (Ok(Outcome::Done), true));
    script.lock().unwrap().drift = true;
    assert_eq!(pilot(at, "stack diff demo").await.result, Ok(Outcome::Done));
    assert_eq!(pilot(at, "stack diff demo --exit-code").await.result, Ok(Outcome::Negative));
}

#[tokio::test]
async fn a_repair_shows_what_it_would_do_and_does_it_only_when_told() {
    let (at, script) = server().await;
    let good = pilot(at, "stack repair demo").await;
    assert_eq!((good.result, good.out.contains("nothing to repair")), (Ok(Outcome::Done), true));
    script.lock().unwrap().damage = true;
    let shown = pilot(at, "stack repair demo").await;
    assert_eq!(shown.result, Ok(Outcome::Negative));
    assert!(
        shown.out.contains("it is empty") && shown.out.contains("s.json.bak of 2026-11-29"),
        "{}",
        shown.out
    );
    assert!(shown.out.contains("later changes are missing"), "{}", shown.out);
    assert!(shown.err.contains("`pilot stack repair demo --yes` does it"), "{}", shown.err);
    let done = pilot(at, "stack repair demo --yes").await;
    assert_eq!(done.result, Ok(Outcome::Done));
    assert!(
        done.out.contains("s.json.corrupt-1") && done.err.contains("`pilot stack diff demo`"),
        "{}",
        done.err
    );
    assert_eq!(pilot(at, "stack repair demo --json").await.result, Ok(Outcome::Negative));
}

#[tokio::test]
async fn an_export_writes_the_files_and_never_over_others_unasked() {
    let (at, script) = server().await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("stack");
    let line = format!("stack export demo --out {}", out.display());
    let shown = pilot(at, &line).await;
    assert_eq!(std::fs::read_to_string(out.join("Pulumi.yaml")).unwrap(), "name: pilot\n");
    assert!(shown.err.contains(". ./env.sh && pulumi preview"), "{}", shown.err);
    assert_eq!(pilot(at, &line).await.result.unwrap_err().code, ErrorCode::BadRequest);
    assert_eq!(script.lock().unwrap().asked.len(), 1, "the server is not asked for nothing");
    assert_eq!(pilot(at, &format!("{line} --force --json")).await.result, Ok(Outcome::Done));
}

#[tokio::test]
async fn providers_are_listed_with_what_isolates_them() {
    let (at, _) = server().await;
    let shown = pilot(at, "provider ls").await;
    assert_eq!(
        shown.out,
        "local (default): processes\n  isolation  none\n  sizes      small (512 MiB, 1.5 cores, 10 GiB disk, 0.0082 $/h)\n  \
         regions    ams (Amsterdam)\n  can        suspend, take images, keep files over a stop\n\
         bare: no images\n  isolation  none\n  sizes      \n  can        suspend, keep files over a stop\n"
    );
}

#[tokio::test]
async fn every_code_can_be_explained_without_a_server() {
    let data = std::path::Path::new("/nonexistent");
    for code in ErrorCode::ALL {
        let shown = pilot_with(data, &format!("explain {code}"), &[]).await;
        assert_eq!(shown.out.trim(), code.page().trim());
    }
    let all = pilot_with(data, "explain --json", &[]).await;
    let all: Value = serde_json::from_str(&all.out).unwrap();
    assert_eq!(all["codes"].as_array().unwrap().len(), ErrorCode::ALL.len());
    let unknown = pilot_with(data, "explain nope", &[]).await;
    let problem = unknown.result.unwrap_err();
    assert_eq!(
        (problem.code, problem.title.as_str()),
        (ErrorCode::NotFound.into(), "There is no such error code")
    );
}

#[tokio::test]
async fn operations_are_a_table_with_what_went_wrong_and_a_word_that_there_are_more() {
    let (at, script) = server().await;
    let shown = pilot(at, "op ls --workspace demo --state failed -n 2").await;
    let lines: Vec<Vec<&str>> = shown.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ID", "KIND", "ABOUT", "STATE", "AGE", "ERROR"]);
    assert_eq!(lines[1][..4], ["op-1", "create", "demo", "succeeded"]);
    assert_eq!((lines[2][3], *lines[2].last().unwrap()), ("failed", "git_not_found"));
    assert!(shown.err.contains("--limit"), "{}", shown.err);
    let asked = script.lock().unwrap().asked.pop().unwrap();
    assert_eq!(asked, "GET /v1/operations?limit=2&workspace=demo&state=failed");
}

#[tokio::test]
async fn why_a_workspace_is_as_it_is_is_told_in_the_order_of_what_happened() {
    let (at, script) = server().await;
    script.lock().unwrap().state = "degraded";
    let shown = pilot(at, "ws why demo").await;
    let lines: Vec<&str> = shown.out.lines().collect();
    assert!(
        lines[0].starts_with("demo is degraded (for ") && lines[0].ends_with("and is to be running."),
        "{}",
        shown.out
    );
    assert_eq!((lines[1], lines[3]), ("Asked for:", "Done:"));
    assert!(
        lines[2].contains("ago") && lines[2].contains("start      by reconciler (request req-1)"),
        "{}",
        lines[2]
    );
    assert!(lines[4].contains("create     failed: provider_capacity (op-1)"), "{}", lines[4]);
    assert_eq!(lines[5], "Next: A start in about 20s.");
}

#[tokio::test]
async fn a_home_that_is_full_is_told_by_get_and_by_why_and_one_with_room_by_get_alone() {
    let (at, script) = server().await;
    script.lock().unwrap().state = "ready";
    for (free, words) in [(0, "full: 0 MiB of 64 MiB free"), (48 << 20, "48 MiB of 64 MiB free")] {
        let disk = json!({"size": 64 << 20, "free": free});
        script.lock().unwrap().disk = disk.clone();
        let get = pilot(at, "ws get demo").await;
        assert!(get.out.contains(&format!("home       {words} on its disk\n")), "{}", get.out);
        let document: Value = serde_json::from_str(&pilot(at, "ws get demo --json").await.out).unwrap();
        assert_eq!((&document["disk"], &document["slug"]), (&disk, &json!("demo")));
        let why = pilot(at, "ws why demo").await;
        assert_eq!(why.out.contains(&format!("Its home is {words}")), free == 0, "{}", why.out);
    }
}

#[tokio::test]
async fn usage_is_a_table_of_hours_over_all_pages_sorted_by_what_it_shows() {
    let (at, script) = server().await;
    let shown = pilot(at, "usage --from 2026-11-01 --owner ada").await;
    let expected = "WORKSPACE  OWNER  PROVIDER  SIZE   HOURS
base       ada    docker    small  0.01
demo       ada    local     host   1.50
ws_2       -      docker    small  0.00
";
    assert_eq!(shown.out, expected);
    assert_eq!(shown.err, "1.51 hours in all, from 2026-11-01T00:00:00Z to 2026-11-23T10:00:09Z.\n");
    let asked = script.lock().unwrap().asked[0].clone();
    assert!(asked.contains("from=2026-11-01T00%3A00%3A00Z") && asked.contains("owner=ada"), "{asked}");
    let all: Value = serde_json::from_str(&pilot(at, "usage --json").await.out).unwrap();
    assert_eq!((all["usage"].as_array().unwrap().len(), &all["next"]), (3, &Value::Null));
}
