//! How much is done at once: what only waits keeps nothing else waiting.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpListener;

use crate::support::eventually;
use crate::support::world::World;

/// More than a provider works on at once.
const BOOTS: usize = 10;

#[tokio::test]
async fn boots_that_never_end_keep_no_stop_of_another_waiting() {
    // Takes connections, and says nothing: who clones from here never becomes ready.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let git = json!({"url": format!("http://{}/a.git", silent.local_addr().unwrap())});
    let mut world = World::start().await;
    world.terminate();
    // A port for each of them.
    *world.options.last_mut().unwrap() = "15700-15731".to_owned();
    world.serve().await;
    world.api.create_ready("other", "local").await;
    let slugs: Vec<String> = (0..BOOTS).map(|number| format!("never{number}")).collect();
    for slug in &slugs {
        world.api.create(json!({"slug": slug, "provider": "local", "git": git})).await;
    }
    // Each has worked, and only waits by now.
    eventually("all to boot at the same time", Duration::from_secs(60), || async {
        let list = world.api.get("/v1/workspaces?state=booting").await;
        (list["workspaces"].as_array().unwrap().len() == BOOTS).then_some(())
    })
    .await;
    let asked = Instant::now();
    world.api.succeeded(&world.api.change("other", "stop").await).await;
    assert!(asked.elapsed() < Duration::from_secs(30), "it waited for {:?}", asked.elapsed());
    let list = world.api.get("/v1/workspaces?state=booting").await;
    assert_eq!(list["workspaces"].as_array().unwrap().len(), BOOTS, "none has ended meanwhile");
    for slug in slugs.iter().chain([&"other".to_owned()]) {
        world.api.delete(slug).await;
    }
    eventually("all to be gone", Duration::from_secs(120), || async {
        let list = world.api.get("/v1/workspaces").await;
        list["workspaces"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
}
