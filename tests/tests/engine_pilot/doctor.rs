//! Doctor and server judge the same Docker engines, and say the same words about them.

use serde_json::{Value, json};

use crate::support::world::World;

const NOWHERE: &str = "/nowhere/docker.sock";

/// Doctor's exit code, and its line of this name.
fn doctor(world: &World, name: &str) -> (i32, Value) {
    let output = world.pilot_output(&["doctor", "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let check = found["checks"].as_array().unwrap().iter().find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("{name}: {found:#}")).clone();
    assert_eq!(found["ok"], json!(output.status.success()), "{found:#}");
    (output.status.code().unwrap(), check)
}

/// What a create says at a server that was started with this.
async fn refused(world: &World) -> Value {
    let response = world.api.post("/v1/workspaces", &json!({"slug": "demo", "provider": "docker"})).await;
    response.json().await.unwrap()
}

#[tokio::test]
async fn doctor_names_a_docker_engine_that_is_not_there_in_the_words_of_the_server() {
    let env = [("DOCKER_HOST", ""), ("DOCKER_CONTEXT", ""), ("PILOT_DOCKER_HOST", "")];
    let mut world = World::start_with_env(&[], &env).await;
    let hosts = format!("x=unix://{NOWHERE}");
    for (name, value, why) in
        [("PILOT_DOCKER_HOSTS", hosts.as_str(), "host x"), ("DOCKER_HOST", &hosts[2..], "DOCKER_HOST")]
    {
        world.terminate();
        world.set("PILOT_DOCKER_HOSTS", "");
        world.set(name, value);
        world.serve().await;
        let problem = refused(&world).await;
        assert_eq!(problem["code"], "docker_unavailable", "{name}: {problem:#}");
        let (code, check) = doctor(&world, "provider docker");
        assert_eq!(code, 0, "workspaces are made by another provider: {check:#}");
        assert_eq!(
            (&check["ok"], &check["detail"], &check["action"]),
            (&json!(false), &problem["detail"], &problem["action"]),
            "{name}"
        );
        let detail = check["detail"].as_str().unwrap();
        assert!(detail.contains(NOWHERE) && detail.contains(why), "{name}: {detail}");
    }
    // And one that is there is found by both.
    world.terminate();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    std::os::unix::fs::symlink("/var/run/docker.sock", &socket).unwrap();
    world.set("DOCKER_HOST", &format!("unix://{}", socket.display()));
    let (code, check) = doctor(&world, "provider docker");
    assert_eq!((code, &check["ok"]), (0, &json!(true)), "{check:#}");
}

#[tokio::test]
async fn hosts_that_cannot_be_meant_are_told_by_doctor_as_by_the_start_of_the_server() {
    let mut world = World::start().await;
    world.terminate();
    world.set("PILOT_DOCKER_HOSTS", "x=bad");
    let (code, check) = doctor(&world, "settings of providers");
    assert_eq!((code, &check["ok"]), (1, &json!(false)), "no provider can be used: {check:#}");
    let [detail, action] = ["detail", "action"].map(|part| check[part].as_str().unwrap());
    assert!(detail.contains("x: \"bad\" is none of unix:///path"), "{detail}");
    assert!(action.contains("PILOT_DOCKER_HOSTS"), "{action}");
    let serve = world.pilot_output(&["serve"]);
    let words = String::from_utf8_lossy(&serve.stderr).into_owned();
    assert!(!serve.status.success(), "it would make containers nowhere");
    assert!(words.contains(detail) && words.contains(action), "{words}\ndoctor: {check:#}");
}
