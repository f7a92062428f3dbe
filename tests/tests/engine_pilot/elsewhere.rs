//! The engine under the name of before is another one: what is not there is not gone.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stack_export::{pulumi, text};
use crate::support::eventually;
use crate::support::other_engine::OtherEngine;
use crate::support::world::World;

const HERE: &str = "unix:///var/run/docker.sock";

/// Whoever starts the server next finds this engine.
async fn moved_to(world: &mut World, engine: &str) {
    world.kill();
    world.set("PILOT_DOCKER_HOST", engine);
    world.serve().await;
}

fn said(world: &World, args: &[&str]) -> (bool, String) {
    let output = world.pilot_output(args);
    (output.status.success(), text(&output))
}

async fn is_elsewhere(world: &World) -> Value {
    eventually("the workspace to be told elsewhere", Duration::from_secs(60), || async {
        let now = world.api.workspace("demo").await;
        (now["error"]["code"] == "runtime_elsewhere").then_some(now)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_of_another_engine_is_neither_gone_nor_made_anew_nor_deleted_until_that_is_back() {
    let mut world = World::start_on_docker().await;
    let demo = world.api.create_ready("demo", "docker").await;
    let runtime = demo["runtimeId"].as_str().unwrap().to_owned();
    let objects = world.witness.docker_objects();
    let other = OtherEngine::start("THE:OTHER:ONE", Some(&runtime));
    moved_to(&mut world, &other.host()).await;

    let now = is_elsewhere(&world).await;
    assert_eq!(now["state"], "unknown", "{now:#}");
    let detail = now["error"]["detail"].as_str().unwrap();
    assert!(detail.contains("THE:OTHER:ONE answers at") && detail.contains(&other.host()), "{detail}");
    for args in [&["ws", "why", "demo"][..], &["doctor"]] {
        let (_, words) = said(&world, args);
        assert!(words.contains("THE:OTHER:ONE"), "{args:?}: {words}");
    }
    for args in [
        &["ws", "start", "demo"][..],
        &["ws", "stop", "demo"],
        &["stack", "diff", "demo"],
        &["ws", "logs", "demo"],
        &["ws", "rm", "demo", "--yes"],
        &["ws", "rm", "demo", "--purge", "--yes"],
    ] {
        let (done, words) = said(&world, args);
        assert!(!done && words.contains("runtime_elsewhere"), "{args:?}: {words}");
    }
    let now = world.api.workspace("demo").await;
    assert_eq!((&now["state"], &now["desired"]), (&json!("unknown"), &json!("deleted")), "{now:#}");
    assert_eq!(other.made(), Vec::<String>::new());
    assert_eq!(world.witness.docker_objects(), objects, "all of it is where it was");

    // What was asked for goes on where it can.
    moved_to(&mut world, HERE).await;
    eventually("the end of the purge", Duration::from_secs(120), || async {
        let list = world.api.get("/v1/workspaces").await;
        list["workspaces"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    world.witness.nothing_is_left(&runtime);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_with_another_name_over_the_same_homes_is_the_same_and_one_that_is_gone_for_good_is_let_go()
{
    let mut world = World::start_on_docker().await;
    let demo = world.api.create_ready("demo", "docker").await;
    let runtime = demo["runtimeId"].as_str().unwrap();
    let other = OtherEngine::start("SET:UP:ANEW", None);
    moved_to(&mut world, &other.host()).await;
    world.pilot(&["ws", "stop", "demo"]);
    world.pilot(&["ws", "start", "demo"]);
    assert_eq!(world.api.workspace("demo").await["state"], "ready");

    other.becomes("YET:ANOTHER:ONE", Some(runtime));
    let (done, words) = said(&world, &["ws", "stop", "demo"]);
    assert!(!done && words.contains("is at the Docker engine SET:UP:ANEW"), "{words}");
    let (done, words) = said(&world, &["ws", "rm", "demo", "--forget", "--yes"]);
    assert!(done, "{words}");
    let (_, words) = said(&world, &["op", "ls", "--json"]);
    assert!(words.contains("forget"), "{words}");
    assert_eq!(world.witness.containers().len(), 1, "nothing there is touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_stack_does_nothing_at_another_engine() {
    let mut world = World::start_on_docker().await;
    let demo = world.api.create_ready("demo", "docker").await;
    let runtime = demo["runtimeId"].as_str().unwrap();
    let objects = world.witness.docker_objects();
    let other = OtherEngine::start("THE:OTHER:ONE", Some(runtime));
    moved_to(&mut world, &other.host()).await;
    let out = world.data.join("exported");
    world.pilot(&["stack", "export", "demo", "--out", out.to_str().unwrap()]);
    for command in ["refresh --yes --skip-preview", "destroy --yes --skip-preview --exclude-protected"] {
        let run = pulumi(&out, command);
        assert!(
            !run.status.success() && text(&run).contains("at another place"),
            "{command}: {}",
            text(&run)
        );
    }
    assert_eq!(other.made(), Vec::<String>::new());
    moved_to(&mut world, HERE).await;
    let preview = pulumi(&out, "stack");
    for resource in ["network", "home", "instance"] {
        assert!(text(&preview).contains(resource), "it is in the state still: {}", text(&preview));
    }
    assert_eq!(world.witness.docker_objects(), objects);
}
