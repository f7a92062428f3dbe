//! A state that somebody has taken out, put back in the place of a workspace's own.

use std::path::PathBuf;
use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};

use crate::stack_export::{pulumi, text};
use crate::support::world::World;

/// `fake` with machines that last, so that a state and what it lists can be told apart.
async fn world() -> World {
    World::start_with(&["--providers", "fake"]).await
}

/// The workspace's stack as a project, for the plain CLI.
fn export(world: &World, slug: &str) -> PathBuf {
    let out = world.data.join(slug);
    world.pilot(&["stack", "export", slug, "--out", out.to_str().unwrap()]);
    out
}

fn state(project: &std::path::Path) -> Value {
    let output = pulumi(project, "stack export");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)))
}

fn import(world: &World, slug: &str, state: &str) -> Output {
    let file = world.data.join("import.state");
    std::fs::write(&file, state).unwrap();
    world.pilot_output(&["--json", "stack", "import", slug, "--from", file.to_str().unwrap()])
}

fn answer(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(output)))
}

/// The stack that a state is of, by its first URN.
fn project_stack(state: &Value) -> String {
    let urn = state["deployment"]["resources"][0]["urn"].as_str().unwrap();
    urn.split("::").next().unwrap().rsplit(':').next().unwrap().to_owned()
}

/// Of a state, what an import may not change.
fn resources(state: &Value) -> &Value {
    &state["deployment"]["resources"]
}

#[tokio::test]
async fn a_state_that_pulumi_exported_can_be_put_back_after_it_was_lost() {
    let world = world().await;
    world.api.create_ready("demo", "fake").await;
    let project = export(&world, "demo");
    let good = state(&project);
    let mut lost = good.clone();
    let kept = good["deployment"]["resources"].as_array().unwrap().iter();
    let kept: Vec<Value> = kept.filter(|one| one["type"] != "pilot:fake:Machine").cloned().collect();
    lost["deployment"]["resources"] = json!(kept);
    assert!(import(&world, "demo", &lost.to_string()).status.success());
    let drift: Value = serde_json::from_str(&world.pilot(&["stack", "diff", "demo", "--json"])).unwrap();
    let changed: Vec<_> = drift["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["op"] != "same")
        .map(|step| &step["op"])
        .collect();
    assert_eq!(changed, ["create"], "{drift:#}");

    let done = answer(&import(&world, "demo", &good.to_string()));
    assert_eq!(done["resources"], json!(good["deployment"]["resources"].as_array().unwrap().len()));
    let before: Value =
        serde_json::from_slice(&std::fs::read(done["kept"].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!(resources(&before), resources(&lost), "the state of before is kept");
    assert_eq!(resources(&state(&project)), resources(&good));
    let preview = pulumi(&project, "preview --expect-no-changes");
    assert!(preview.status.success(), "{}", text(&preview));
    // Also in the place of one that nobody can read, as `pilot stack repair` advises where there is no copy.
    let file = format!("pulumi/state/.pulumi/stacks/pilot/{}.json", project_stack(&good));
    std::fs::write(world.data.join(file), "{ damaged").unwrap();
    let done = import(&world, "demo", &good.to_string());
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(resources(&state(&project)), resources(&good));
    let why = world.api.get("/v1/workspaces/demo/why").await;
    assert_eq!(why["asked"][0]["action"], "import", "{why:#}");

    world.api.succeeded(&world.api.delete("demo").await).await;
    let replaced = world.data.join("pulumi/replaced");
    assert_eq!(std::fs::read_dir(replaced).unwrap().count(), 0, "what was kept goes with the stack");
}

#[tokio::test]
async fn a_foreign_state_a_newer_one_and_garbage_are_refused_and_change_nothing() {
    let world = world().await;
    for slug in ["demo", "other"] {
        world.api.create_ready(slug, "fake").await;
    }
    let (project, foreign) = (export(&world, "demo"), state(&export(&world, "other")));
    let good = state(&project);
    let mut newer = good.clone();
    newer["version"] = json!(5);
    // A dependency that is not there.
    let mut unsound = good.clone();
    unsound["deployment"]["resources"].as_array_mut().unwrap().remove(0);
    // The other's, as people move a state by search and replace.
    let edited = foreign.to_string().replace(
        &format!("urn:pulumi:{}", project_stack(&foreign)),
        &format!("urn:pulumi:{}", project_stack(&good)),
    );
    for (given, code) in [
        (edited.clone(), "bad_request"),
        (foreign.to_string(), "bad_request"),
        (newer.to_string(), "state_newer"),
        (unsound.to_string(), "bad_request"),
        ("{}".to_owned(), "bad_request"),
        ("no json".to_owned(), "bad_request"),
    ] {
        let refused = import(&world, "demo", &given);
        assert!(!refused.status.success(), "{}", text(&refused));
        assert_eq!(answer(&refused)["code"], code, "{}", text(&refused));
        assert_eq!(state(&project), good);
    }
    let kept = std::fs::read_dir(world.data.join("pulumi/replaced")).into_iter().flatten().count();
    assert_eq!(kept, 0, "nothing was replaced");

    // With the plain CLI nobody refuses it; and what it says is another's stays all the same.
    std::fs::write(project.join("edited.json"), edited).unwrap();
    let imported = pulumi(&project, "stack import --force --file edited.json");
    assert!(imported.status.success(), "{}", text(&imported));
    let before = world.api.workspace("other").await;
    let ended = world.api.ended(&world.api.delete("demo").await).await;
    assert_eq!(ended["error"]["code"], "foreign_object", "{ended:#}");
    assert_eq!(world.api.workspace("other").await, before);
    let drift = world.pilot(&["stack", "diff", "other", "--json"]);
    let drift: Value = serde_json::from_str(&drift).unwrap();
    assert!(drift["steps"].as_array().unwrap().iter().all(|step| step["op"] == "same"), "{drift:#}");
    std::fs::write(project.join("good.json"), good.to_string()).unwrap();
    assert!(pulumi(&project, "stack import --force --file good.json").status.success());
    for slug in ["demo", "other"] {
        world.api.succeeded(&world.api.delete(slug).await).await;
    }
}

#[tokio::test]
async fn an_import_waits_for_no_operation_and_keeps_its_key_and_its_version() {
    let world = World::start().await;
    world.api.create_ready("demo", "local").await;
    let good = state(&export(&world, "demo"));
    let put = |key: &str, tag: &str, state: &Value| {
        let request = world.api.request(Method::PUT, "/v1/workspaces/demo/stack/state");
        request.header("idempotency-key", key).header("if-match", tag).json(state).send()
    };
    let code = async |response: reqwest::Response| response.json::<Value>().await.unwrap()["code"].clone();

    let operation = world.api.change("demo", "restart").await;
    assert_eq!(code(put("k1", "*", &good).await.unwrap()).await, "operation_in_progress");
    world.api.succeeded(&operation).await;
    assert_eq!(code(put("k1", "\"another\"", &good).await.unwrap()).await, "precondition_failed");

    assert_eq!(put("k1", "*", &good).await.unwrap().status(), 200);
    let mut empty = good.clone();
    empty["deployment"]["resources"] = json!([]);
    assert_eq!(code(put("k1", "*", &empty).await.unwrap()).await, "idempotency_conflict");
    assert_eq!(put("k2", "*", &empty).await.unwrap().status(), 200);
    // The first request again: what came after it stays.
    assert_eq!(put("k1", "*", &good).await.unwrap().status(), 200);
    assert_eq!(resources(&state(&world.data.join("demo"))).as_array().map_or(0, Vec::len), 0);
    assert_eq!(put("k3", "*", &good).await.unwrap().status(), 200);
    world.api.succeeded(&world.api.delete("demo").await).await;
}
