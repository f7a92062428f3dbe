//! A workspace in the fake provider's cloud: everything of Pilot is real, and only the instance is not.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::world::World;

/// Each start has another address, and the gateway believes for a moment in the one that it knows.
async fn the_instance_answers_through_the_gateway(world: &World) {
    eventually("an answer to a new session", Duration::from_secs(10), || async {
        let create = world.api.chamber(Method::POST, "demo", "/session").json(&json!({"title": "hello"}));
        let session: Value = create.send().await.unwrap().json().await.unwrap();
        (session["title"] == "hello").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_workspace_in_the_fake_cloud_answers_through_the_gateway_and_keeps_its_life_cycle() {
    let world = World::start_with(&["--provider", "fake"]).await;
    let api = &world.api;
    let created = json!({"slug": "demo", "size": "medium", "region": "south"});
    api.succeeded(&api.create(created).await).await;
    let workspace = api.workspace("demo").await;
    assert_eq!((&workspace["state"], &workspace["region"]), (&json!("ready"), &json!("south")));
    the_instance_answers_through_the_gateway(&world).await;
    for (change, state) in
        [("suspend", "suspended"), ("resume", "ready"), ("stop", "stopped"), ("start", "ready")]
    {
        api.succeeded(&api.change("demo", change).await).await;
        assert_eq!(api.workspace("demo").await["state"], state, "after {change}");
    }
    the_instance_answers_through_the_gateway(&world).await;
    api.succeeded(&api.delete("demo").await).await;
}
