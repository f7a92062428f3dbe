//! `ws ls` and `ws get`: all pages, what is asked for, and what is shown.

use serde_json::{Value, json};

use crate::tests::fake::{pilot, server, workspace};

fn named(slug: &str, owner: &str) -> Value {
    let mut workspace = workspace("stopped");
    workspace["slug"] = json!(slug);
    workspace["owner"] = json!(owner);
    workspace
}

#[tokio::test]
async fn a_list_goes_over_all_pages() {
    let (at, script) = server().await;
    script.lock().unwrap().more = ["a", "b", "c", "d"].map(|slug| named(slug, "ada")).to_vec();
    let shown = pilot(at, "ws ls").await;
    let names: Vec<_> = shown.out.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["NAME", "demo", "a", "b", "c", "d"]);
    let asked = std::mem::take(&mut script.lock().unwrap().asked);
    let path = "GET /v1/workspaces?limit=1000";
    assert_eq!(asked, [path.to_owned(), format!("{path}&cursor=2"), format!("{path}&cursor=4")]);
    let json: Value = serde_json::from_str(&pilot(at, "ws ls --json").await.out).unwrap();
    assert_eq!((json["workspaces"].as_array().unwrap().len(), &json["next"]), (5, &Value::Null));
}

#[tokio::test]
async fn what_is_asked_for_is_the_servers_to_find() {
    let (at, script) = server().await;
    let line = "ws ls --owner ada --label team=a=b --label task=42 --state failed --provider docker --sort newest --expect-none";
    assert!(pilot(at, line).await.result.is_err());
    let asked = "GET /v1/workspaces?limit=1000&owner=ada&state=failed&provider=docker&sort=newest&label=team%3Da%3Db&label=task%3D42";
    assert_eq!(script.lock().unwrap().asked, [asked, "GET /v1/workspaces?limit=1000&deleted=true"]);
    script.lock().unwrap().deleted = true;
    let none = pilot(at, "ws ls --owner ada").await;
    assert_eq!((none.out.as_str(), none.err.contains("no such workspaces")), ("", true));
}

#[tokio::test]
async fn owners_have_a_column_when_there_are_any() {
    let (at, script) = server().await;
    assert!(!pilot(at, "ws ls").await.out.contains("OWNER"));
    script.lock().unwrap().more = vec![named("a", "ada")];
    let shown = pilot(at, "ws ls").await.out;
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split("  ").collect()).collect();
    assert!(lines[0].contains(&"OWNER") && lines[2].iter().any(|cell| cell.trim() == "ada"), "{shown}");
}

#[tokio::test]
async fn one_workspace_shows_its_owner_and_its_labels() {
    let (at, script) = server().await;
    let without = pilot(at, "ws get demo").await.out;
    assert!(!without.contains("owner") && !without.contains("labels"), "{without}");
    script.lock().unwrap().with =
        json!({"owner": "ada", "region": "ams", "labels": {"team": "core", "task": "42"}});
    let shown = pilot(at, "ws get demo").await.out;
    for line in ["owner      ada", "region     ams", "labels     task=42, team=core"] {
        assert!(shown.lines().any(|shown| shown == line), "{line} in {shown}");
    }
}
