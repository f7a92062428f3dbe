//! Homes that are gone: that is told, and nobody but their user begins them anew.

use std::time::Duration;

use provider_fake::Cloud;
use serde_json::{Value, json};

use crate::fake_cloud::{cloud, kinds};
use crate::support::eventually;
use crate::support::world::World;

/// A container and its home are removed behind its back; with another Docker engine than before it looks the same.
#[tokio::test]
async fn a_home_that_is_gone_is_told_and_nothing_is_begun_anew_until_its_user_says_so() {
    let mut world = World::start_on_docker().await;
    let before = world.api.create_ready("demo", "docker").await;
    // Its fence is higher then, which Docker keeps in an object of its own: that is no home.
    world.api.succeeded(&world.api.change("demo", "restart").await).await;
    world.kill();
    let container = format!("pilot-{}", before["runtimeId"].as_str().unwrap());
    for gone in [["rm", "--force", container.as_str()], ["volume", "rm", &format!("{container}-home")]] {
        let docker = std::process::Command::new("docker").args(gone).output().unwrap();
        assert!(docker.status.success(), "{docker:?}");
    }
    world.serve().await;
    let told = eventually("the loss to be told", Duration::from_secs(60), || async {
        let now = world.api.workspace("demo").await;
        (now["error"]["code"] == "home_gone").then_some(now)
    })
    .await;
    assert_eq!(told["state"], "degraded", "{told:#}");
    let why = world.api.get("/v1/workspaces/demo/why").await;
    assert_eq!(why["operations"].as_array().unwrap().len(), 2, "create and restart alone: {why:#}");
    assert!(why["next"].as_str().unwrap().starts_with("Nothing by itself: its home is gone."), "{why:#}");
    assert_eq!(world.witness.containers(), Vec::<String>::new());

    // As it says, word by word.
    let action = told["error"]["action"].as_str().unwrap().to_owned();
    let advice = action.split('`').find(|words| words.starts_with("pilot ws start")).unwrap();
    world.pilot(&advice.split(' ').skip(1).collect::<Vec<_>>());
    let now = world.api.workspace("demo").await;
    assert_eq!((&now["state"], &now["error"]), (&json!("ready"), &Value::Null));
}

async fn told(world: &World, slug: &str) -> Value {
    eventually("the loss to be told", Duration::from_secs(60), || async {
        let now = world.api.workspace(slug).await;
        (now["error"]["code"] == "home_gone").then_some(now)
    })
    .await
}

/// A workspace in the cloud that is as it says, and all of it removed there behind its back.
async fn lost(world: &World, cloud: &Cloud, slug: &str, change: &str) -> Value {
    let workspace = world.api.create_ready(slug, "fake").await;
    world.api.succeeded(&world.api.change(slug, change).await).await;
    cloud.remove(workspace["runtimeId"].as_str().unwrap());
    workspace
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lost_its_home_at_rest_is_told_and_neither_a_visit_nor_a_change_nor_a_rollout_begins_it_anew() {
    let (cloud, url) = cloud().await;
    let options = ["--provider", "fake", "--hurry", "20"];
    let world = World::start_with_env(&options, &[("PILOT_FAKE_URL", url.as_str())]).await;
    let api = &world.api;
    api.create_ready("whole", "fake").await;
    let asleep = lost(&world, &cloud, "asleep", "suspend").await;
    let off = lost(&world, &cloud, "off", "stop").await;

    // Whether that is known already or not.
    let update = api.post("/v1/workspaces/off/update", &json!({"size": "large"})).await;
    let update = update.json::<Value>().await.unwrap()["operation"].clone();
    assert_eq!(api.ended(&update).await["error"]["code"], "home_gone");
    assert_eq!(api.workspace("off").await["size"], "small", "nothing of it is changed");
    let gateway = std::fs::read_to_string(world.data.join("secrets/gateway-token")).unwrap();
    let wake = format!("{}/v1/workspaces/asleep/wake", api.orchestrator);
    let woken = api.client.post(wake).bearer_auth(gateway.trim()).send().await.unwrap();
    let woken = woken.json::<Value>().await.unwrap();
    let code = match woken["operation"].is_object() {
        true => api.ended(&woken["operation"]).await["error"]["code"].clone(),
        false => woken["code"].clone(),
    };
    assert_eq!(code, "home_gone", "{woken:#}");
    eventually("the loss of what is stopped to be told", Duration::from_secs(60), || async {
        let now = api.workspace("off").await;
        (now["state"] == "stopped" && now["error"]["code"] == "home_gone").then_some(())
    })
    .await;
    told(&world, "asleep").await;
    for change in ["apply", "resume"] {
        let ended = api.ended(&api.change("off", change).await).await;
        assert_eq!(ended["error"]["code"], "home_gone", "{change}: {ended:#}");
    }
    let why = api.get("/v1/workspaces/off/why").await;
    assert!(why["next"].as_str().unwrap().starts_with("Nothing by itself: its home is gone."), "{why:#}");

    let begun = api.post("/v1/rollouts", &json!({"image": "fake:2"})).await.json::<Value>().await.unwrap();
    let path = format!("/v1/rollouts/{}", begun["id"].as_str().unwrap());
    let done = eventually("the end of the rollout", Duration::from_secs(60), || async {
        let now = api.get(&path).await;
        (now["state"] != "running").then_some(now)
    })
    .await;
    assert_eq!(done["state"], "succeeded", "{done:#}");
    for member in done["members"].as_array().unwrap() {
        let reason = if member["slug"] == "whole" { Value::Null } else { json!("home_gone") };
        assert_eq!(member["reason"], reason, "{done:#}");
    }
    for workspace in [&asleep, &off] {
        assert_eq!(kinds(&cloud, workspace), Vec::<&str>::new());
    }
    told(&world, "off").await;
    world.pilot(&["ws", "start", "off"]);
    assert_eq!(kinds(&cloud, &off), ["volume", "machine"]);
    assert_eq!(api.workspace("off").await["error"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_was_asked_for_before_the_loss_was_told_is_refused_once() {
    let (cloud, url) = cloud().await;
    // Nobody looks meanwhile.
    let options = ["--provider", "fake"];
    let world = World::start_with_env(&options, &[("PILOT_FAKE_URL", url.as_str())]).await;
    let off = lost(&world, &cloud, "off", "stop").await;
    let refused = world.pilot_output(&["ws", "start", "off"]);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && words.contains("home_gone"), "{words}");
    assert_eq!(kinds(&cloud, &off), Vec::<&str>::new());
    world.pilot(&["ws", "start", "off"]);
    assert_eq!(kinds(&cloud, &off), ["volume", "machine"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_came_to_have_a_home_has_lost_none() {
    let (cloud, url) = cloud().await;
    let world = World::start_with_env(&["--provider", "fake"], &[("PILOT_FAKE_URL", url.as_str())]).await;
    let api = &world.api;
    cloud.run_out_of_disks();
    let made = api.ended(&api.create(json!({"slug": "demo"})).await).await;
    assert_eq!(made["error"]["code"], "provider_failed", "{made:#}");
    for _ in 0..2 {
        let started = api.ended(&api.change("demo", "start").await).await;
        assert_eq!(started["error"]["code"], "provider_failed", "{started:#}");
    }
    cloud.heal();
    api.succeeded(&api.change("demo", "start").await).await;
    assert_eq!(kinds(&cloud, &api.workspace("demo").await), ["volume", "machine"]);
}
