//! Several orchestrators of one installation: they share a PostgreSQL and the providers, and nothing else.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::postgres::Postgres;
use crate::support::eventually;
use crate::support::sse::Events;
use crate::support::world::{World, program};

/// A create of `demo` that has begun.
async fn planned(world: &World) -> Value {
    let create = world.api.create(json!({"slug": "demo"})).await;
    let id = create["id"].as_str().unwrap().to_owned();
    eventually("the create to be planned", Duration::from_secs(30), || async {
        let operation: Value = world.api.get(&format!("/v1/operations/{id}")).await;
        operation["phases"]["planned"].is_string().then_some(())
    })
    .await;
    create
}

#[tokio::test]
async fn two_orchestrators_show_and_change_the_same_workspaces() {
    let server = Postgres::start();
    let one = World::start_on_database(&server.url(), None).await;
    let gateway = [("PILOT_GATEWAY_URL", "https://pilot.example.com")];
    let other = World::start_on_database_with_env(&server.url(), Some(&one), &gateway).await;
    let create = one.api.create(json!({"slug": "demo"})).await;
    let path = format!("/v1/operations/{}/events", create["id"].as_str().unwrap());
    let mut events = Events::new(other.api.request(Method::GET, &path).send().await.unwrap());
    // Told in one process, heard in the other.
    events.until("end", |event| event["type"] == "done").await;
    other.api.succeeded(&create).await;
    let workspace = one.api.workspace("demo").await;
    assert_eq!((&workspace["state"], &workspace["provider"]), (&json!("ready"), &json!("docker")));
    let seen = other.api.workspace("demo").await;
    assert_eq!(seen["id"], workspace["id"]);
    assert_eq!(seen["url"], "https://demo.pilot.example.com/", "as it was told");
    assert!(workspace["url"].as_str().unwrap().starts_with("http://demo.localhost:"), "{workspace:#}");
    other.api.succeeded(&other.api.change("demo", "stop").await).await;
    assert_eq!(one.api.workspace("demo").await["state"], "stopped");
    let taken = one.api.post("/v1/workspaces", &json!({"slug": "demo"})).await;
    assert_eq!(taken.status(), 409);
    let plan: Value = other.api.post("/v1/workspaces/demo/preview", &json!({})).await.json().await.unwrap();
    assert_eq!(plan["changes"].as_object().unwrap().keys().collect::<Vec<_>>(), ["same"], "{plan:#}");
    let files: Value = other.api.get("/v1/workspaces/demo/stack").await;
    assert!(files["files"]["Pulumi.yaml"].as_str().unwrap().contains("postgres://"), "{files:#}");
    one.api.succeeded(&one.api.delete("demo").await).await;
    assert_eq!(other.witness.docker_objects(), Vec::<String>::new());
}

#[tokio::test]
async fn what_an_orchestrator_that_died_has_begun_another_finishes_and_nothing_is_doubled() {
    let server = Postgres::start();
    let mut one = World::start_on_database(&server.url(), None).await;
    let create = planned(&one).await;
    let other = World::start_on_database(&server.url(), Some(&one)).await;
    one.kill();
    other.api.succeeded(&create).await;
    let workspace = other.api.workspace("demo").await;
    assert_eq!(workspace["state"], "ready", "{workspace:#}");
    assert_eq!(other.witness.containers().len(), 1);
    other.api.succeeded(&other.api.delete("demo").await).await;
    assert_eq!(other.witness.docker_objects(), Vec::<String>::new());
}

#[tokio::test]
async fn a_create_waits_while_the_database_takes_no_writes_and_then_succeeds() {
    let server = Postgres::start();
    let one = World::start_on_database(&server.url(), None).await;
    let create = planned(&one).await;
    server.read_only(true);
    let not_ready = eventually("the server to be not ready", Duration::from_secs(20), || async {
        let answer = one.api.request(Method::GET, "/ready").send().await.unwrap();
        (answer.status() == 503).then_some(answer)
    });
    let problem: Value = not_ready.await.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("takes no writes"), "{problem:#}");
    // Everything outside is done meanwhile, as far as it goes without a word to the store.
    eventually("the operation to wait", Duration::from_secs(60), || async {
        one.log().contains("the database takes no writes").then_some(())
    })
    .await;
    let id = create["id"].as_str().unwrap();
    let operation: Value = one.api.get(&format!("/v1/operations/{id}")).await;
    assert_eq!(operation["state"], "running", "{operation:#}");
    server.read_only(false);
    one.api.succeeded(&create).await;
    assert_eq!(one.api.workspace("demo").await["state"], "ready");
    assert_eq!(one.witness.containers().len(), 1);
    one.api.succeeded(&one.api.delete("demo").await).await;
    assert_eq!(one.witness.docker_objects(), Vec::<String>::new());
}

#[tokio::test]
async fn who_ends_cleanly_gives_back_what_only_one_of_all_does() {
    let server = Postgres::start();
    let mut one = World::start_on_database(&server.url(), None).await;
    let held =
        || server.ask("SELECT name FROM leases WHERE until > extract(epoch FROM now()) * 1000 ORDER BY 1");
    eventually("the leases to be taken", Duration::from_secs(30), || async {
        let held = held();
        (held.contains("reconciler") && held.contains("sweeper")).then_some(())
    })
    .await;
    assert_eq!(one.terminate(), Some(0));
    assert_eq!(held(), "");
}

fn signal(pid: u32, name: &str) {
    assert!(std::process::Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// The server and its engine host.
fn family(world: &World) -> Vec<u32> {
    let server = world.server_pid();
    let list = std::process::Command::new("ps").args(["-o", "pid=", "--ppid", &server.to_string()]).output();
    let children = String::from_utf8_lossy(&list.unwrap().stdout).into_owned();
    let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
    std::iter::once(server).chain(children).collect()
}

#[tokio::test]
async fn an_orchestrator_that_wakes_up_late_changes_nothing_of_what_its_successor_has_done() {
    let server = Postgres::start();
    let one = World::start_on_database(&server.url(), None).await;
    let create = planned(&one).await;
    let asleep = family(&one);
    asleep.iter().for_each(|pid| signal(*pid, "-STOP"));
    let other = World::start_on_database(&server.url(), Some(&one)).await;
    other.api.succeeded(&create).await;
    let workspace = other.api.workspace("demo").await;
    let containers = other.witness.containers();
    assert_eq!((&workspace["state"], containers.len()), (&json!("ready"), 1), "{workspace:#}");
    asleep.iter().for_each(|pid| signal(*pid, "-CONT"));
    eventually("the first to notice", Duration::from_secs(30), || async {
        one.log().contains("another orchestrator goes on").then_some(())
    })
    .await;
    assert_eq!(other.witness.containers(), containers);
    assert_eq!(other.api.workspace("demo").await["state"], "ready");
    let plan: Value = other.api.post("/v1/workspaces/demo/preview", &json!({})).await.json().await.unwrap();
    assert_eq!(plan["changes"].as_object().unwrap().keys().collect::<Vec<_>>(), ["same"], "{plan:#}");
    one.api.succeeded(&one.api.delete("demo").await).await;
    assert_eq!(other.witness.docker_objects(), Vec::<String>::new());
}

#[tokio::test]
async fn an_orchestrator_with_other_secrets_is_refused_and_told_where_to_get_them() {
    let server = Postgres::start();
    let one = World::start_on_database(&server.url(), None).await;
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(program("pilot"))
        .arg("--data")
        .arg(folder.path())
        .args(["serve", "--listen-gateway", "127.0.0.1:0", "--listen-orchestrator", "127.0.0.1:0"])
        .args(["--listen-admin", "127.0.0.1:0"])
        .env("PILOT_DATABASE", server.url())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && words.contains("secrets_missing"), "{words}");
    assert!(words.contains("Copy the folder `secrets`"), "{words}");
    assert!(one.api.is_ready().await);
}
