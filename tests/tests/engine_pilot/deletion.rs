//! Delete is legal at any time and leaves nothing.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::sse::Events;
use crate::support::world::World;

#[tokio::test]
async fn a_delete_while_creating_cancels_the_create_and_leaves_nothing() {
    let world = World::start().await;
    for phase in ["queued", "planned", "applied"] {
        let create = world.api.create(json!({"slug": "demo", "provider": "local"})).await;
        let id = create["id"].as_str().unwrap();
        eventually("the phase", Duration::from_secs(60), || async {
            let now = world.api.get(&format!("/v1/operations/{id}")).await;
            now["phases"][phase].is_string().then_some(())
        })
        .await;
        let runtime = world.api.workspace("demo").await["runtimeId"].as_str().unwrap().to_owned();
        let delete = world.api.delete("demo").await;
        world.api.succeeded(&delete).await;
        let create = world.api.ended(&create).await;
        assert_eq!(create["state"], "canceled", "{create:#}");
        assert_eq!(create["error"]["code"], "canceled");
        world.witness.nothing_is_left(&runtime);
    }
}

#[tokio::test]
async fn a_slug_is_free_again_after_a_delete_and_asking_twice_is_one_operation() {
    let world = World::start().await;
    let first = world.api.create_ready("demo", "local").await;
    let (one, two) = (world.api.delete("demo").await, world.api.delete("demo").await);
    assert_eq!(one["id"], two["id"]);
    world.api.succeeded(&one).await;
    let second = world.api.create_ready("demo", "local").await;
    assert_ne!(first["runtimeId"], second["runtimeId"]);
}

#[tokio::test]
async fn a_delete_that_failed_is_tried_again_by_itself_until_nothing_is_left() {
    let world = World::start().await;
    let workspace = world.api.create_ready("demo", "local").await;
    let runtime = workspace["runtimeId"].as_str().unwrap();
    let state = world.data.join(format!("pulumi/state/.pulumi/stacks/pilot/{runtime}.json"));
    let good = std::fs::read(&state).unwrap();
    std::fs::write(&state, "{").unwrap();
    let ended = world.api.ended(&world.api.delete("demo").await).await;
    assert_eq!(
        (&ended["state"], &ended["error"]["code"]),
        (&json!("failed"), &json!("state_corrupt")),
        "{ended:#}"
    );
    std::fs::write(&state, good).unwrap();
    eventually("the end of the workspace", Duration::from_secs(90), || async {
        let now = world.api.request(reqwest::Method::GET, "/v1/workspaces/demo").send().await.unwrap();
        (now.status() == 404).then_some(())
    })
    .await;
    world.witness.nothing_is_left(runtime);
}

#[tokio::test]
async fn a_start_of_what_answers_leaves_it_and_its_route_alone() {
    let world = World::start().await;
    let before = world.api.create_ready("demo", "local").await;
    let leaders = world.witness.leaders();
    world.api.succeeded(&world.api.change("demo", "start").await).await;
    let after = world.api.workspace("demo").await;
    assert_eq!((&after["state"], &after["since"]), (&json!("ready"), &before["since"]), "{after:#}");
    assert_eq!(world.witness.leaders(), leaders);
}

fn kill_all(world: &World) {
    for pid in world.witness.processes() {
        // Some end with their parent before their turn comes.
        let _ = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).output().unwrap();
    }
}

#[tokio::test]
async fn an_instance_that_died_is_started_again_and_what_a_user_has_stopped_stays_stopped() {
    let world = World::start().await;
    let before = world.api.create_ready("demo", "local").await;
    world.api.create_ready("other", "local").await;
    world.api.succeeded(&world.api.change("other", "stop").await).await;
    kill_all(&world);
    let again = eventually("the instance to run again", Duration::from_secs(60), || async {
        let now = world.api.workspace("demo").await;
        (now["state"] == "ready" && now["operation"] != before["operation"]).then_some(now)
    })
    .await;
    assert_eq!((&again["runtimeId"], &again["error"]), (&before["runtimeId"], &serde_json::Value::Null));
    let operation = again["operation"].as_str().unwrap();
    let operation: serde_json::Value = world.api.get(&format!("/v1/operations/{operation}")).await;
    assert!(operation["requestId"].as_str().unwrap().starts_with("reconciler-"), "{operation:#}");
    assert_eq!(world.api.workspace("other").await["state"], "stopped");
}

#[tokio::test]
async fn where_losses_are_only_reported_an_instance_that_died_waits_to_be_started() {
    let world = World::start_with(&["--repair", "report"]).await;
    world.api.create_ready("demo", "local").await;
    kill_all(&world);
    let seen = eventually("the loss on record", Duration::from_secs(60), || async {
        let now = world.api.workspace("demo").await;
        (now["state"] == "degraded").then_some(now)
    })
    .await;
    assert_eq!(seen["error"]["code"], "instance_failed", "{seen:#}");
    world.api.succeeded(&world.api.change("demo", "start").await).await;
    assert_eq!(world.api.workspace("demo").await["state"], "ready");
}

#[tokio::test]
async fn a_workspace_whose_provider_is_gone_for_good_can_be_released_and_what_may_be_left_is_told() {
    let mut world = World::start_with(&["--providers", "fake,local"]).await;
    world.api.succeeded(&world.api.create(json!({"slug": "demo", "provider": "fake"})).await).await;
    world.terminate();
    let names = world.options.iter_mut().find(|option| *option == "fake,local").unwrap();
    *names = "local".to_owned();
    world.serve().await;
    let failed = world.api.ended(&world.api.delete("demo").await).await;
    assert_eq!(failed["error"]["code"], "unknown_provider", "{failed:#}");
    assert!(failed["error"]["action"].as_str().unwrap().contains("--forget"), "{failed:#}");
    let released = world.api.request(Method::DELETE, "/v1/workspaces/demo?forget=true").send().await.unwrap();
    let released: Value = released.json().await.unwrap();
    world.api.succeeded(&released["operation"]).await;
    let path = format!("/v1/operations/{}/events", released["operation"]["id"].as_str().unwrap());
    let mut events = Events::new(world.api.request(Method::GET, &path).send().await.unwrap());
    let told = events.until("end", |event| event["type"] == "done").await;
    let words: String = told.iter().filter_map(|(_, event)| event["text"].as_str()).collect();
    assert!(words.contains("pilot:fake:Machine"), "{words}");
    let again = world.api.request(Method::GET, "/v1/workspaces/demo").send().await.unwrap();
    assert_eq!(again.status(), 404);
    world.api.create_ready("demo", "local").await;
}

#[tokio::test]
async fn usage_ends_when_an_instance_was_last_seen_however_late_its_end_is_found() {
    const AWAY: Duration = Duration::from_secs(6);
    let mut world = World::start_with(&["--hurry", "20", "--repair", "report"]).await;
    world.api.create_ready("demo", "local").await;
    let seconds = async |world: &World| {
        let list: Value = world.api.get("/v1/usage").await;
        list["usage"][0]["seconds"].as_u64().unwrap()
    };
    // What was seen long after it became ready counts as well.
    let booted = seconds(&world).await;
    eventually("some usage", Duration::from_secs(60), async || {
        (seconds(&world).await >= booted + 4).then_some(())
    })
    .await;
    let before = seconds(&world).await;
    world.kill();
    kill_all(&world);
    // How long nobody looks is the test's input, not something that it waits for.
    tokio::time::sleep(AWAY).await;
    world.serve().await;
    eventually("the loss on record", Duration::from_secs(60), async || {
        (world.api.workspace("demo").await["state"] == "degraded").then_some(())
    })
    .await;
    let after = seconds(&world).await;
    assert!(after >= before - 1 && after < before + AWAY.as_secs() / 2, "{before} s before, {after} s after");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(seconds(&world).await, after, "what is down does not count");
}
