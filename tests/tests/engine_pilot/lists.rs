//! Lists of destinations as users have them: refused before anything is made where they cannot be meant or held.

use serde_json::{Value, json};

use crate::support::world::World;

async fn refused(world: &World, path: &str, body: Value) -> Value {
    let answer = world.api.post(path, &body).await;
    assert!(!answer.status().is_success(), "{path}");
    answer.json::<Value>().await.unwrap()["code"].clone()
}

#[tokio::test]
async fn a_list_is_refused_before_anything_is_made_where_it_cannot_be_meant_or_held() {
    let world = World::start().await;
    for (body, code) in [
        (json!({"slug": "a", "provider": "docker", "egressAllow": ["https://github.com"]}), "bad_request"),
        (json!({"slug": "a", "provider": "docker", "egressAllow": ["all", "github.com"]}), "bad_request"),
        (json!({"slug": "a", "provider": "local", "egressAllow": ["github.com"]}), "capability_unsupported"),
        (json!({"slug": "a", "provider": "local", "egressAllow": []}), "capability_unsupported"),
    ] {
        assert_eq!(refused(&world, "/v1/workspaces", body.clone()).await, code, "{body}");
    }
    assert_eq!(world.api.get("/v1/workspaces").await["workspaces"], json!([]));
}
