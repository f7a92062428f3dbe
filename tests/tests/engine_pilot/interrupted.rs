//! kill -9 of the server in the middle of its work: nothing that was accepted is lost, nothing is doubled.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::support::api::Api;
use crate::support::eventually;
use crate::support::sse::Events;
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
async fn a_reader_of_an_operation_goes_on_where_it_was_over_a_restart() {
    let mut world = World::start().await;
    let operation = world.api.create(json!({"slug": "demo", "provider": "local"})).await;
    let path = format!("/v1/operations/{}/events", operation["id"].as_str().unwrap());
    let read = async |api: &Api, after: u64| {
        let request = api.request(reqwest::Method::GET, &path).header("last-event-id", after.to_string());
        Events::new(request.send().await.unwrap())
    };
    let numbers = |seen: Vec<(Instant, Value)>| -> Vec<u64> {
        seen.iter().map(|(_, event)| event["sequence"].as_u64().unwrap()).collect()
    };
    let before = read(&world.api, 0).await.until("plan", |event| event["phase"] == "planned").await;
    let mut seen = numbers(before);
    world.kill();
    world.serve().await;
    let last = *seen.last().unwrap();
    let after = read(&world.api, last).await.until("end", |event| event["type"] == "done").await;
    seen.extend(numbers(after));
    let all: Vec<u64> = (1..=seen.len() as u64).collect();
    assert_eq!(seen, all, "none twice, none left out");
    world.api.succeeded(&operation).await;
    let later = read(&world.api, 0).await.until("end", |event| event["type"] == "done").await;
    assert_eq!(numbers(later), all, "and the whole can be read when it is over");
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

#[tokio::test]
async fn a_client_that_hangs_up_after_asking_does_not_lose_what_was_accepted() {
    let world = World::start().await;
    let address = world.api.orchestrator.trim_start_matches("http://").to_owned();
    let mut accepted = 0;
    for timeout in [0, 3, 10, 40] {
        let slug = format!("hasty-{timeout}");
        let body = format!(r#"{{"slug":"{slug}"}}"#);
        let request = format!(
            "POST /v1/workspaces HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            world.api.token,
            body.len()
        );
        let mut connection = tokio::net::TcpStream::connect(&address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(timeout)).await;
        drop(connection);
        let asked = Instant::now();
        // The server may have noticed before it accepted; what is on record reaches its end.
        let ready = eventually("the end of what was accepted", Duration::from_secs(60), || async {
            let list = world.api.get("/v1/workspaces").await;
            match list["workspaces"].as_array().unwrap().iter().find(|one| one["slug"] == slug.as_str()) {
                Some(workspace) => (workspace["state"] == "ready").then_some(true),
                None => (asked.elapsed() > Duration::from_secs(2)).then_some(false),
            }
        })
        .await;
        if ready {
            accepted += 1;
            world.api.succeeded(&world.api.delete(&slug).await).await;
        }
    }
    assert!(accepted > 0, "no request was ever accepted, so nothing was tested");
}
