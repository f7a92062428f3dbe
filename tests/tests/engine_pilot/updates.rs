//! Another image, another size: for one workspace, and for all of a provider by a rollout.

mod back;

use std::time::Duration;

use contracts::operation::Operation;
use reqwest::Method;
use serde_json::{Value, json};

use crate::stack_export::{pulumi, text};
use crate::support::api::Api;
use crate::support::docker::{TestImage, docker};
use crate::support::eventually;
use crate::support::world::World;

async fn update(api: &Api, slug: &str, body: Value) -> Value {
    let response = api.post(&format!("/v1/workspaces/{slug}/update"), &body).await;
    let (status, answer) = (response.status(), response.json::<Value>().await.unwrap());
    assert_eq!(status, 202, "{answer:#}");
    answer["operation"].clone()
}

/// What containers of the world run from.
fn images(world: &World) -> Vec<String> {
    let ids = world.witness.containers();
    let inspect = |id: &str| docker(&["inspect", "--format", "{{.Image}}", id]);
    ids.iter().map(|object| inspect(object.split_once(' ').unwrap().1)).collect()
}

fn shell(runtime: &Value, script: &str) -> String {
    docker(&["exec", &format!("pilot-{}", runtime.as_str().unwrap()), "sh", "-c", script])
}

async fn has_no_drift(world: &World, slug: &str) {
    let plan: Value = serde_json::from_str(&world.pilot(&["stack", "diff", slug, "--json"])).unwrap();
    let steps = plan["steps"].as_array().unwrap();
    assert!(!steps.is_empty() && steps.iter().all(|step| step["op"] == "same"), "{plan:#}");
}

#[tokio::test]
async fn an_update_moves_a_workspace_to_another_image_and_size_and_keeps_its_files() {
    let newer = TestImage::build("newer", "LABEL newer=yes");
    let world = World::start_on_docker().await;
    let before = world.api.create_ready("demo", "docker").await;
    let usual = images(&world);
    assert_eq!(before["image"]["digest"], json!(usual[0]), "{before:#}");
    shell(&before["runtimeId"], "echo kept > /home/pilot/kept");
    let exported = world.data.join("exported");
    world.pilot(&["stack", "export", "demo", "--out", exported.to_str().unwrap()]);

    let updated = update(&world.api, "demo", json!({"image": newer.0, "size": "medium"})).await;
    assert_eq!(updated["update"]["image"]["digest"], json!(newer.id()));
    world.api.succeeded(&updated).await;
    let after = world.api.workspace("demo").await;
    assert_eq!((&after["state"], &after["size"]), (&json!("ready"), &json!("medium")));
    assert_eq!((&after["runtimeId"], images(&world)), (&before["runtimeId"], vec![newer.id()]));
    assert_eq!(shell(&after["runtimeId"], "cat /home/pilot/kept"), "kept");
    has_no_drift(&world, "demo").await;
    // What was exported before takes nothing of that back.
    let containers = world.witness.containers();
    let stale = pulumi(&exported, "up --yes --skip-preview");
    assert!(!stale.status.success() && text(&stale).contains("fenced"), "{}", text(&stale));
    assert_eq!((world.witness.containers(), images(&world)), (containers, vec![newer.id()]));
    assert_eq!(shell(&after["runtimeId"], "cat /home/pilot/kept"), "kept");
    has_no_drift(&world, "demo").await;

    // What its user has stopped is moved as well, and stays stopped.
    world.api.succeeded(&world.api.change("demo", "stop").await).await;
    world.pilot(&["ws", "update", "demo", "--image", &usual[0]]);
    assert_eq!(world.api.workspace("demo").await["state"], "stopped");
    assert_eq!(images(&world), usual);
    let running =
        docker(&["ps", "--quiet", "--filter", &format!("name={}", after["runtimeId"].as_str().unwrap())]);
    assert_eq!(running, "", "it does not run for a moment either");
    has_no_drift(&world, "demo").await;
    world.api.succeeded(&world.api.change("demo", "start").await).await;
    assert_eq!(shell(&after["runtimeId"], "cat /home/pilot/kept"), "kept");
}

#[tokio::test]
async fn an_image_that_cannot_be_had_is_refused_and_one_that_does_not_work_tells_the_way_back() {
    let broken = TestImage::build("broken", "ENTRYPOINT [\"false\"]");
    let world = World::start_on_docker().await;
    let before = world.api.create_ready("demo", "docker").await;
    for (body, status, code) in [
        (json!({}), 400, "bad_request"),
        (json!({"image": ""}), 400, "bad_request"),
        (json!({"image": "a b"}), 400, "bad_request"),
        (json!({"image": "pilot-no-such-image:1"}), 422, "image_missing"),
        (json!({"size": "colossal"}), 400, "unknown_size"),
        (json!({"colour": "red"}), 400, "unknown_field"),
    ] {
        let response = world.api.post("/v1/workspaces/demo/update", &body).await;
        assert_eq!(response.status(), status, "{body}");
        assert_eq!(response.json::<Value>().await.unwrap()["code"], code, "{body}");
    }
    assert_eq!(world.api.workspace("demo").await, before);

    let ended = world.api.ended(&update(&world.api, "demo", json!({"image": broken.0})).await).await;
    assert_eq!(ended["state"], "failed", "{ended:#}");
    let action = ended["error"]["action"].as_str().unwrap().to_owned();
    // As it says, word by word.
    let advice = action.split('`').find(|words| words.starts_with("pilot ws update")).unwrap();
    world.pilot(&advice.split(' ').skip(1).collect::<Vec<_>>());
    let after = world.api.workspace("demo").await;
    assert_eq!((&after["state"], &after["error"]), (&json!("ready"), &Value::Null));
    assert_eq!(after["image"]["digest"], before["image"]["digest"]);
}

#[tokio::test]
async fn another_image_for_new_workspaces_is_no_drift_of_those_that_are_there() {
    let (older, newer) =
        (TestImage::build("older", "LABEL older=yes"), TestImage::build("next", "LABEL next=yes"));
    let usual = format!("pilot-update-test:usual-{}", std::process::id());
    docker(&["tag", &older.0, &usual]);
    let mut world = World::start_on_docker_with_env(&[("PILOT_IMAGE", &usual)]).await;
    world.api.create_ready("first", "docker").await;
    // The name means something else from now on, as after an upgrade or a build.
    docker(&["tag", &newer.0, &usual]);
    world.terminate();
    world.serve().await;
    has_no_drift(&world, "first").await;
    world.api.create_ready("second", "docker").await;
    world.api.succeeded(&world.api.change("first", "apply").await).await;
    let mut all = images(&world);
    all.sort();
    let mut expected = [older.id(), newer.id()];
    expected.sort();
    assert_eq!(all, expected);
    docker(&["image", "rm", &usual]);
}

#[tokio::test]
async fn an_update_that_could_not_be_applied_is_no_success_for_a_rollout_and_a_start_goes_on_with_it() {
    let (gone, other) =
        (TestImage::build("gone", "LABEL gone=yes"), TestImage::build("here", "LABEL here=yes"));
    let world = World::start_on_docker().await;
    let before = world.api.create_ready("demo", "docker").await;
    let usual = images(&world);
    // It is there when it is asked for, and is not when its turn comes: the workspace is busy until then.
    let restart = world.api.change("demo", "restart").await;
    let asked = update(&world.api, "demo", json!({"image": gone.0})).await;
    docker(&["image", "rm", "--force", &gone.id()]);
    world.api.succeeded(&restart).await;
    let ended = world.api.ended(&asked).await;
    assert_eq!(
        (&ended["state"], &ended["error"]["code"]),
        (&json!("failed"), &json!("image_missing")),
        "{ended:#}"
    );
    let now = world.api.workspace("demo").await;
    assert_eq!(
        (&now["state"], &now["error"]["code"]),
        (&json!("failed"), &json!("image_missing")),
        "{now:#}"
    );
    assert_eq!(images(&world), usual, "what was there is there");
    // The rollout that was to bring it does not take the wish for the deed.
    let image = ended["update"]["image"]["digest"].clone();
    let refused = world.api.post("/v1/rollouts", &json!({"image": image, "provider": "docker"})).await;
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "image_missing");
    // Another wish takes its place.
    world.api.succeeded(&update(&world.api, "demo", json!({"image": other.0})).await).await;
    let after = world.api.workspace("demo").await;
    assert_eq!((&after["state"], &after["runtimeId"]), (&json!("ready"), &before["runtimeId"]));
    assert_eq!(images(&world), [other.id()]);
}

async fn rollout(api: &Api, body: Value) -> Value {
    let response = api.post("/v1/rollouts", &body).await;
    let (status, answer) = (response.status(), response.json::<Value>().await.unwrap());
    assert_eq!(status, 202, "{answer:#}");
    answer
}

async fn rolled_out(api: &Api, begun: &Value) -> Value {
    let id = begun["id"].as_str().unwrap();
    eventually("the end of the rollout", Duration::from_secs(180), || async {
        let now = api.get(&format!("/v1/rollouts/{id}")).await;
        (now["state"] != "running").then_some(now)
    })
    .await
}

/// A server with these workspaces in the cloud in memory.
async fn in_the_cloud(slugs: &[&str]) -> World {
    filled(World::start_with(&["--provider", "fake"]).await, slugs).await
}

async fn filled(world: World, slugs: &[&str]) -> World {
    let mut operations = Vec::new();
    for slug in slugs {
        operations.push(world.api.create(json!({"slug": slug})).await);
    }
    for operation in &operations {
        world.api.succeeded(operation).await;
    }
    world
}

async fn image_of(api: &Api, slug: &str) -> String {
    api.workspace(slug).await["image"]["reference"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_rollout_moves_a_few_at_a_time_and_starts_nothing_that_is_stopped() {
    let world = in_the_cloud(&["a", "b", "c", "d", "e"]).await;
    let api = &world.api;
    api.succeeded(&api.change("c", "stop").await).await;
    let begun = rollout(api, json!({"image": "fake:2", "atOnce": 2})).await;
    let done = rolled_out(api, &begun).await;
    assert_eq!((&done["state"], &done["counts"]["updated"]), (&json!("succeeded"), &json!(5)), "{done:#}");
    for slug in ["a", "b", "c", "d", "e"] {
        assert_eq!(image_of(api, slug).await, "fake:2");
        has_no_drift(&world, slug).await;
        let state = if slug == "c" { "stopped" } else { "ready" };
        assert_eq!(api.workspace(slug).await["state"], state, "{slug}");
    }
    // How many were under way at the same time, by the operations' own words.
    let mut ends = Vec::new();
    for member in done["members"].as_array().unwrap() {
        let operation = api.get(&format!("/v1/operations/{}", member["operation"].as_str().unwrap())).await;
        let phases = serde_json::from_value::<Operation>(operation).unwrap().phases;
        ends.extend([(phases.queued.unwrap(), 1), (phases.finished.unwrap(), -1)]);
    }
    ends.sort();
    let most = ends
        .iter()
        .scan(0, |now, (_, step)| {
            *now += step;
            Some(*now)
        })
        .max();
    assert_eq!(most, Some(2));
    // Asked again there is nothing to do.
    let again = rolled_out(api, &rollout(api, json!({"image": "fake:2"})).await).await;
    assert!(
        again["members"].as_array().unwrap().iter().all(|member| member["operation"].is_null()),
        "{again:#}"
    );
    assert_eq!(
        (&again["counts"]["skipped"], &again["counts"]["updated"]),
        (&json!(5), &json!(0)),
        "{again:#}"
    );
    let said = world.pilot(&["rollout", "--image", "fake:2"]);
    assert!(said.contains("5 had it already") && !said.contains("updated"), "{said}");
}

#[tokio::test]
async fn a_rollout_stops_at_the_first_that_fails_and_can_be_taken_back() {
    let world = in_the_cloud(&["a", "b", "c"]).await;
    let api = &world.api;
    let output = world.pilot_output(&["rollout", "--image", "fake:broken"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("rollout_failed") && words.contains("pilot rollout back"), "{words}");
    assert_eq!(image_of(api, "b").await, "fake:1", "none was begun after it");
    let failed = api.workspace("a").await;
    assert_eq!(failed["state"], "failed");
    let why = &failed["error"];
    assert!(words.contains(why["code"].as_str().unwrap()), "it says why: {why:#}: {words}");

    // As it says, word by word.
    let advice = words.split('`').find(|words| words.starts_with("pilot rollout back")).unwrap();
    world.pilot(&advice.split(' ').skip(1).collect::<Vec<_>>());
    for slug in ["a", "b", "c"] {
        let now = api.workspace(slug).await;
        assert_eq!(
            (&now["state"], &now["image"]["reference"]),
            (&json!("ready"), &json!("fake:1")),
            "{now:#}"
        );
    }
    let list: Value = serde_json::from_str(&world.pilot(&["rollout", "ls", "--json"])).unwrap();
    assert_eq!(list["rollouts"][0]["rollsBack"], list["rollouts"][1]["id"]);
    assert_eq!(list["rollouts"].as_array().unwrap().len(), 2);
    for (path, code) in
        [("/v1/rollouts/ro-none", "rollout_not_found"), ("/v1/rollouts/x", "rollout_not_found")]
    {
        let refused = api.request(Method::GET, path).send().await.unwrap();
        assert_eq!(refused.json::<Value>().await.unwrap()["code"], code);
    }
    for (body, code) in [
        (json!({"image": "other:1"}), "image_missing"),
        (json!({"atOnce": 0}), "bad_request"),
        (json!({"provider": "local"}), "capability_unsupported"),
        (json!({"provider": "none"}), "unknown_provider"),
    ] {
        let refused: Value = api.post("/v1/rollouts", &body).await.json().await.unwrap();
        assert_eq!(refused["code"], code, "{body}: {refused:#}");
    }
}

#[tokio::test]
async fn nothing_advises_to_go_back_to_an_image_that_did_not_work() {
    let world = in_the_cloud(&["a"]).await;
    let api = &world.api;
    let first = rolled_out(api, &rollout(api, json!({"image": "fake:broken"})).await).await;
    let advice = |rollout: &Value| rollout["error"]["action"].as_str().unwrap().to_owned();
    assert!(advice(&first).contains("pilot rollout back"), "{first:#}");
    let broken = format!("fake:broken@sha256:{}", "2".repeat(64));
    let second = rolled_out(api, &rollout(api, json!({"image": broken})).await).await;
    assert_eq!(second["state"], "failed", "{second:#}");
    assert!(!advice(&second).contains("pilot rollout back"), "{second:#}");
    assert!(advice(&second).contains("`pilot rollout ls`"), "{second:#}");
    let update = second["members"][0]["operation"].as_str().unwrap();
    let update = api.get(&format!("/v1/operations/{update}")).await;
    let action = update["error"]["action"].as_str().unwrap();
    assert!(!action.contains("fake:broken") && action.contains("pilot op ls --workspace a"), "{action}");
    // What takes it back anyway, and fails, does not advise itself either.
    let id = second["id"].as_str().unwrap();
    let back: Value =
        api.post(&format!("/v1/rollouts/{id}/rollback"), &json!({})).await.json().await.unwrap();
    let back = rolled_out(api, &back).await;
    assert!(back["state"] == "failed" && !advice(&back).contains("pilot rollout back"), "{back:#}");
    // As they say, with the image that worked.
    world.pilot(&["rollout", "--provider", "fake", "--image", "fake:1"]);
    assert_eq!(api.workspace("a").await["state"], "ready");
}

#[tokio::test]
async fn a_rollout_goes_on_after_a_crash_of_the_server() {
    let newer = TestImage::build("crash", "LABEL crash=yes");
    let mut world = World::start_on_docker().await;
    for slug in ["a", "b"] {
        world.api.create_ready(slug, "docker").await;
    }
    let begun = rollout(&world.api, json!({"image": newer.0, "provider": "docker"})).await;
    let id = begun["id"].as_str().unwrap().to_owned();
    eventually("an update under way", Duration::from_secs(30), || async {
        let now = world.api.get(&format!("/v1/rollouts/{id}")).await;
        (now["counts"]["running"] == 1).then_some(())
    })
    .await;
    world.kill();
    world.serve().await;
    let done = rolled_out(&world.api, &begun).await;
    assert_eq!((&done["state"], &done["counts"]["updated"]), (&json!("succeeded"), &json!(2)), "{done:#}");
    assert_eq!(images(&world), [newer.id(), newer.id()]);
}
