//! kill -9 of the server in the middle of its work: nothing that was accepted is lost, nothing is doubled.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::world::World;

/// Moments of a create, in the order in which they are reached.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So long after the 202.
    After(u64),
    /// When this phase is on record, and so long after it.
    Phase(&'static str, u64),
}

const MOMENTS: [Moment; 10] = [
    Moment::After(0),
    Moment::After(120),
    Moment::Phase("planned", 0),
    Moment::Phase("planned", 300),
    Moment::Phase("planned", 700),
    Moment::Phase("planned", 1000),
    Moment::Phase("planned", 1300),
    Moment::Phase("applied", 0),
    Moment::Phase("booted", 0),
    Moment::Phase("booted", 700),
];

#[tokio::test]
async fn ten_kills_during_a_local_create_leave_one_ready_instance_each() {
    let mut world = World::start().await;
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        survive(&mut world, &format!("local-{number}"), "local", moment).await;
    }
}

#[tokio::test]
async fn ten_kills_during_a_docker_create_leave_one_ready_instance_each() {
    let mut world = World::start_on_docker().await;
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        survive(&mut world, &format!("docker-{number}"), "docker", moment).await;
    }
}

async fn survive(world: &mut World, slug: &str, provider: &str, moment: Moment) {
    let operation = world.api.create(json!({"slug": slug, "provider": provider})).await;
    wait_for(world, &operation, moment).await;
    world.kill();
    world.serve().await;
    let ended = world.api.ended(&operation).await;
    assert_eq!(ended["state"], "succeeded", "killed at {moment:?}: {ended:#}");
    let workspace = world.api.workspace(slug).await;
    assert_eq!(workspace["state"], "ready", "killed at {moment:?}: {workspace:#}");
    match provider {
        "local" => assert_eq!(world.witness.leaders().len(), 1, "killed at {moment:?}"),
        _ => assert_eq!(world.witness.containers().len(), 1, "killed at {moment:?}"),
    }
    let runtime = workspace["runtimeId"].as_str().unwrap();
    world.api.succeeded(&world.api.delete(slug).await).await;
    world.witness.nothing_is_left(runtime);
}

async fn wait_for(world: &World, operation: &Value, moment: Moment) {
    let after = match moment {
        Moment::After(after) => after,
        Moment::Phase(phase, after) => {
            let id = operation["id"].as_str().unwrap();
            eventually("the phase", Duration::from_secs(60), || async {
                let now = world.api.get(&format!("/v1/operations/{id}")).await;
                now["phases"][phase].is_string().then_some(())
            })
            .await;
            after
        }
    };
    // The moment of the kill is the test's input, not something that it waits for.
    tokio::time::sleep(Duration::from_millis(after)).await;
}

#[tokio::test]
async fn a_kill_during_a_delete_ends_with_nothing_left() {
    let mut world = World::start().await;
    for after in [0, 300, 700] {
        let workspace = world.api.create_ready("demo", "local").await;
        let operation = world.api.delete("demo").await;
        wait_for(&world, &operation, Moment::After(after)).await;
        world.kill();
        world.serve().await;
        world.api.succeeded(&operation).await;
        world.witness.nothing_is_left(workspace["runtimeId"].as_str().unwrap());
    }
}

#[tokio::test]
async fn an_instance_outlives_its_server_and_is_served_by_the_next() {
    let mut world = World::start().await;
    world.api.create_ready("demo", "local").await;
    let before = world.witness.leaders();
    world.kill();
    world.serve().await;
    assert_eq!(world.witness.leaders(), before);
    let sessions = world.api.chamber(reqwest::Method::GET, "demo", "/session").send().await.unwrap();
    assert_eq!(sessions.status(), 200);
}

#[tokio::test]
async fn sigterm_ends_the_server_cleanly_in_the_middle_of_a_create() {
    let mut world = World::start().await;
    let operation = world.api.create(json!({"slug": "demo", "provider": "local"})).await;
    wait_for(&world, &operation, Moment::Phase("planned", 800)).await;
    assert_eq!(world.terminate(), Some(0), "{}", world.log());
    world.serve().await;
    world.api.succeeded(&operation).await;
    assert_eq!(world.witness.leaders().len(), 1);
}
