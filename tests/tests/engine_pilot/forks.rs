//! Forks whose original is gone: what they can still do, and what is told where they were not made yet.

use serde_json::{Value, json};

use crate::snapshots::{asked, shell, snapshots, volumes};
use crate::support::world::World;

#[tokio::test]
async fn a_fork_whose_original_is_gone_does_all_that_a_workspace_does() {
    let world = World::start_on_docker().await;
    let original = world.api.create_ready("demo", "docker").await;
    shell(&original, "echo then > kept.txt");
    world.pilot(&["ws", "fork", "demo", "two"]);
    world.pilot(&["ws", "rm", "demo", "--purge", "--yes"]);
    assert_eq!(volumes(&original), Vec::<String>::new());

    let fork = world.api.workspace("two").await;
    for words in [["ws", "get", "two"], ["ws", "why", "two"]] {
        let said = world.pilot(&words);
        assert!(said.contains("ready") && !said.contains("problem"), "{said}");
    }
    let export = world.api.get("/v1/workspaces/two/stack").await.to_string();
    let runtime = original["runtimeId"].as_str().unwrap();
    assert!(!export.contains("sourceSnapshot") && !export.contains(runtime), "{export}");
    let drift: Value = world.api.post("/v1/workspaces/two/preview", &json!({})).await.json().await.unwrap();
    assert!(drift["steps"].as_array().unwrap().iter().all(|step| step["op"] == "same"), "{drift:#}");
    world.api.succeeded(&world.api.change("two", "apply").await).await;

    // Snapshots are its own.
    assert_eq!(snapshots(&world, "two").await, Vec::<Value>::new());
    world.pilot(&["ws", "snapshot", "create", "two"]);
    let id = snapshots(&world, "two").await[0]["id"].as_str().unwrap().to_owned();
    shell(&fork, "echo now > kept.txt");
    world.pilot(&["ws", "snapshot", "restore", "two", &id, "--yes"]);
    assert_eq!(shell(&fork, "cat kept.txt"), "then");

    // So is what is made again from its stack, and what is forked from it.
    let container = format!("pilot-{}", fork["runtimeId"].as_str().unwrap());
    let removed = std::process::Command::new("docker").args(["rm", "-f", &container]).output().unwrap();
    assert!(removed.status.success());
    world.api.succeeded(&world.api.change("two", "start").await).await;
    assert_eq!(shell(&fork, "cat kept.txt"), "then");
    world.pilot(&["ws", "fork", "two", "three", "--snapshot", &id]);
    world.pilot(&["ws", "rm", "two", "--purge", "--yes"]);
    assert_eq!(volumes(&fork), Vec::<String>::new());
    let third = world.api.workspace("three").await;
    world.api.succeeded(&world.api.change("three", "restart").await).await;
    assert_eq!(shell(&third, "cat kept.txt"), "then");
    world.pilot(&["ws", "rm", "three", "--purge", "--yes"]);
}

#[tokio::test]
async fn a_fork_that_was_not_made_before_its_original_went_says_so_and_can_only_be_deleted() {
    let world = World::start_on_docker().await;
    let original = world.api.create_ready("demo", "docker").await;
    // The fork waits for this copy.
    shell(&original, "head -c 700M /dev/urandom > large");
    let fork = asked(&world, "/v1/workspaces/demo/fork", json!({"slug": "two"})).await;
    world.pilot(&["ws", "rm", "demo", "--purge", "--yes"]);
    let ended = world.api.ended(&fork["operation"]).await;
    assert_eq!(
        (&ended["state"], &ended["error"]["code"]),
        (&json!("failed"), &json!("snapshot_not_found")),
        "{ended:#}"
    );
    assert_eq!(volumes(&original), Vec::<String>::new());

    let start = world.api.ended(&world.api.change("two", "start").await).await;
    let problem = &start["error"];
    assert_eq!(problem["code"], "snapshot_not_found", "{start:#}");
    assert!(
        problem["detail"].as_str().unwrap().contains("two is a fork whose home was not made yet"),
        "{problem:#}"
    );
    let said = world.pilot(&["ws", "get", "two"]) + &world.pilot(&["ws", "why", "two"]);
    assert!(said.contains("pilot ws rm two") && !said.contains("snapshot ls"), "{said}");
    world.pilot(&["ws", "rm", "two", "--yes"]);
    assert_eq!(volumes(&fork["workspace"]), Vec::<String>::new());
}
