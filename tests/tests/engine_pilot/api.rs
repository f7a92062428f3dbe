//! The lifecycle API as a client of its own meets it: pages, filters, routes as they change.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::sse::Events;
use crate::support::world::World;

#[tokio::test]
async fn workspaces_are_paged_and_found_by_owner_label_and_state() {
    let world = World::start_with(&["--provider", "fake"]).await;
    let api = &world.api;
    for (slug, owner) in [("a", "ann"), ("b", "bob"), ("c", "ann")] {
        let body = json!({"slug": slug, "owner": owner, "labels": {"team": owner}});
        api.succeeded(&api.create(body).await).await;
    }
    let slugs = async |query: &str| -> Vec<String> {
        let list: Value = api.get(&format!("/v1/workspaces{query}")).await;
        let all = list["workspaces"].as_array().unwrap().iter();
        all.map(|one| one["slug"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(slugs("?owner=ann").await, ["a", "c"]);
    assert_eq!(slugs("?label=team=bob").await, ["b"]);
    assert_eq!(slugs("?state=ready&sort=newest").await, ["c", "b", "a"]);
    let first: Value = api.get("/v1/workspaces?limit=2").await;
    let next = first["next"].as_str().unwrap();
    assert_eq!(slugs(&format!("?limit=2&cursor={next}")).await, ["c"]);
    let last: Value = api.get(&format!("/v1/workspaces?limit=2&cursor={next}")).await;
    assert_eq!(last["next"], Value::Null);
    let refused = api.post("/v1/workspaces", &json!({"slug": "d", "labels": {"a b": "x"}})).await;
    assert_eq!(refused.status(), 400);
    for query in ["workspaces?label=team", "workspaces?owner=", "usage?owner="] {
        let refused = api.request(Method::GET, &format!("/v1/{query}")).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{query}");
    }
}

#[tokio::test]
async fn whoever_watches_routes_gets_all_of_them_and_then_each_that_changes() {
    let world = World::start_with(&["--provider", "fake"]).await;
    let api = &world.api;
    api.succeeded(&api.create(json!({"slug": "first"})).await).await;
    let mut events = Events::new(api.request(Method::GET, "/v1/routes?watch").send().await.unwrap());
    let snapshot = events.next().await.unwrap();
    assert_eq!((&snapshot["type"], &snapshot["routes"][0]["slug"]), (&json!("snapshot"), &json!("first")));
    assert!(snapshot["routes"][0]["endpoint"]["port"].is_u64(), "{snapshot:#}");
    let create = api.create(json!({"slug": "second"})).await;
    let is = |kind: &'static str, slug: &'static str| {
        move |event: &Value| {
            event["type"] == kind && (event["slug"] == slug || event["route"]["slug"] == slug)
        }
    };
    let ready = |event: &Value| event["route"]["slug"] == "second" && event["route"]["state"] == "ready";
    events.until("route to what is ready", ready).await;
    api.succeeded(&create).await;
    let renamed: Value =
        api.post("/v1/workspaces/second/rename", &json!({"slug": "third"})).await.json().await.unwrap();
    assert_eq!((&renamed["slug"], &renamed["state"]), (&json!("third"), &json!("ready")));
    events.until("name that is gone", is("gone", "second")).await;
    events.until("new name", is("changed", "third")).await;
    api.succeeded(&api.delete("third").await).await;
    events.until("workspace that is gone", is("gone", "third")).await;
    let all: Value = api.get("/v1/routes").await;
    assert_eq!(all["routes"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_change_says_where_its_operation_is_and_a_restart_boots_anew() {
    let world = World::start().await;
    let before = world.api.create_ready("demo", "local").await;
    let leaders = world.witness.leaders();
    let response = world.api.post("/v1/workspaces/demo/restart", &json!({})).await;
    assert_eq!(response.status(), 202);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let accepted: Value = response.json().await.unwrap();
    assert_eq!(location, format!("/v1/operations/{}", accepted["operation"]["id"].as_str().unwrap()));
    world.api.succeeded(&accepted["operation"]).await;
    let after = world.api.workspace("demo").await;
    assert_eq!((&after["state"], &after["runtimeId"]), (&json!("ready"), &before["runtimeId"]));
    assert_ne!(world.witness.leaders(), leaders);
}

#[tokio::test]
async fn a_change_may_say_which_version_it_is_about_and_a_look_which_it_knows() {
    let world = World::start_with(&["--provider", "fake"]).await;
    let api = &world.api;
    api.succeeded(&api.create(json!({"slug": "demo"})).await).await;
    let get = || api.request(Method::GET, "/v1/workspaces/demo");
    let tag = get().send().await.unwrap().headers()["etag"].to_str().unwrap().to_owned();
    let same = get().header("if-none-match", &tag).send().await.unwrap();
    assert_eq!((same.status().as_u16(), same.bytes().await.unwrap().len()), (304, 0));
    let stop = || api.request(Method::POST, "/v1/workspaces/demo/stop");
    let refused = stop().header("if-match", "\"older\"").send().await.unwrap();
    assert_eq!(refused.status(), 412);
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "precondition_failed");
    let accepted: Value = stop().header("if-match", &tag).send().await.unwrap().json().await.unwrap();
    api.succeeded(&accepted["operation"]).await;
    assert_eq!(get().header("if-none-match", &tag).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_apply_makes_again_what_was_removed_by_hand_and_leaves_a_stopped_workspace_stopped() {
    let world = World::start_on_docker().await;
    world.api.create_ready("demo", "docker").await;
    world.api.succeeded(&world.api.change("demo", "stop").await).await;
    for container in world.witness.containers() {
        let id = container.split_once(' ').unwrap().1;
        let removed = std::process::Command::new("docker").args(["rm", "--force", id]).output().unwrap();
        assert!(removed.status.success());
    }
    world.api.succeeded(&world.api.change("demo", "apply").await).await;
    let containers = world.witness.containers();
    assert_eq!(containers.len(), 1);
    assert_eq!(world.api.workspace("demo").await["state"], "stopped");
    let id = containers[0].split_once(' ').unwrap().1;
    let inspect = ["inspect", "--format", "{{.State.Running}}", id];
    let inspected = std::process::Command::new("docker").args(inspect).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&inspected.stdout).trim(), "false", "it is stopped at once");
    world.api.succeeded(&world.api.change("demo", "start").await).await;
    assert_eq!(world.api.workspace("demo").await["state"], "ready");
}

#[tokio::test]
async fn a_wake_resumes_what_is_suspended_and_leaves_what_its_user_has_stopped() {
    let world = World::start_with(&["--provider", "fake"]).await;
    let api = &world.api;
    api.succeeded(&api.create(json!({"slug": "demo"})).await).await;
    let gateway = std::fs::read_to_string(world.data.join("secrets/gateway-token")).unwrap();
    let wake = async || {
        let url = format!("{}/v1/workspaces/demo/wake", api.orchestrator);
        let answer = api.client.post(url).bearer_auth(gateway.trim()).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, woken) = wake().await;
    assert_eq!((status, &woken["operation"]), (202, &Value::Null), "it is awake: {woken:#}");
    api.succeeded(&api.change("demo", "suspend").await).await;
    let (_, woken) = wake().await;
    assert_eq!(woken["operation"]["kind"], "resume", "{woken:#}");
    assert_eq!(wake().await.1["operation"]["id"], woken["operation"]["id"], "asked twice it is the same");
    api.succeeded(&woken["operation"]).await;
    // Without its memory it wakes as well.
    api.succeeded(&api.change("demo", "hibernate").await).await;
    assert_eq!(api.workspace("demo").await["state"], "suspended");
    let (_, woken) = wake().await;
    assert_eq!(woken["operation"]["kind"], "resume", "{woken:#}");
    api.succeeded(&woken["operation"]).await;
    assert_eq!(api.workspace("demo").await["state"], "ready");
    api.succeeded(&api.change("demo", "stop").await).await;
    let (status, refused) = wake().await;
    assert_eq!((status, &refused["code"]), (409, &json!("workspace_stopped")));
    eventually("the workspace still stopped", Duration::from_secs(5), || async {
        (api.workspace("demo").await["state"] == "stopped").then_some(())
    })
    .await;
}
