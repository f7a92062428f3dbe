//! A workspace in the fake provider's cloud: everything of Pilot is real, and only the instance is not.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::world::World;

async fn title_of_a_new_session(world: &World) -> Value {
    let create = world.api.chamber(Method::POST, "demo", "/session").json(&json!({"title": "hello"}));
    let session: Value = create.send().await.unwrap().json().await.unwrap();
    session["title"].clone()
}

#[tokio::test]
async fn a_workspace_in_the_fake_cloud_answers_through_the_gateway_and_keeps_its_life_cycle() {
    let world = World::start_with(&["--provider", "fake"]).await;
    let api = &world.api;
    let created = json!({"slug": "demo", "size": "medium", "region": "south"});
    api.succeeded(&api.create(created).await).await;
    let workspace = api.workspace("demo").await;
    assert_eq!((&workspace["state"], &workspace["region"]), (&json!("ready"), &json!("south")));
    assert_eq!(title_of_a_new_session(&world).await, "hello");
    for (change, state) in
        [("suspend", "suspended"), ("resume", "ready"), ("stop", "stopped"), ("start", "ready")]
    {
        api.succeeded(&api.change("demo", change).await).await;
        assert_eq!(api.workspace("demo").await["state"], state, "after {change}");
    }
    assert_eq!(title_of_a_new_session(&world).await, "hello");
    api.succeeded(&api.delete("demo").await).await;
}
