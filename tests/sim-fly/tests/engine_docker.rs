//! Machines as containers of this host's Docker engine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation is a failed test")]

#[path = "support/world.rs"]
mod world;

use bollard::Docker;
use bollard::query_parameters::ListImagesOptions;
use serde_json::{Value, json};
use sim_fly::RunnerKind;
use world::{World, eventually, text};

/// Counts in memory, and serves the count: each connection gets the next number.
const COUNTER: &str = "n=0; while :; do n=$((n+1)); echo $n > /tmp/count; sleep 0.05; done";

async fn image() -> String {
    let docker = Docker::connect_with_unix_defaults().unwrap().negotiate_version().await;
    let docker = docker.expect("the Docker engine does not answer: these tests need one");
    let images = docker.list_images(None::<ListImagesOptions>).await.unwrap();
    let mut tags: Vec<_> = images.into_iter().flat_map(|image| image.repo_tags).collect();
    tags.sort();
    let base = tags.into_iter().find(|tag| tag.starts_with("debian:") || tag.starts_with("ubuntu:"));
    base.expect("no Debian or Ubuntu base image is on the Docker host: run `cargo xtask image`")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_suspended_with_its_memory_and_gets_files_and_volume() {
    let world = World::with(|settings| settings.runner = RunnerKind::Docker).await;
    world.public_app("a").await;
    let volume = world.post("/apps/a/volumes", json!({"name": "home", "region": "fra"})).await.body;
    let config = json!({
        "image": image().await,
        "init": {"exec": ["/bin/sh", "-c", COUNTER]},
        "env": {"WORD": "kept"},
        "files": [{"guest_path": "/opt/note", "raw_value": "aGVsbG8="}],
        "mounts": [{"volume": volume["id"], "path": "/data"}],
        "stop_config": {"signal": "SIGKILL", "timeout": "1s"},
        "restart": {"policy": "no"},
    });
    let machine = world.machine("a", config).await;
    world.wait("a", &machine, "started").await;
    let path = format!("/apps/a/machines/{}", text(&machine, "id"));
    let run = async |script: &str| -> String {
        let body = json!({"command": ["/bin/sh", "-c", script], "timeout": 20});
        text(&world.post(&format!("{path}/exec"), body).await.body, "stdout")
    };
    assert_eq!(run("cat /opt/note; printf $WORD").await, "hellokept");
    run("echo yes > /data/file").await;
    let on_host = world.sim.volume_folder(&text(&volume, "id")).join("file");
    assert_eq!(std::fs::read_to_string(on_host).unwrap(), "yes\n");

    let count = async || run("cat /tmp/count").await.trim().parse::<u64>().unwrap_or_default();
    eventually("it counts", async || count().await > 5).await;
    let before = count().await;
    world.post(&format!("{path}/suspend"), Value::Null).await;
    world.wait("a", &machine, "suspended").await;
    world.post(&format!("{path}/start"), Value::Null).await;
    world.wait("a", &machine, "started").await;
    assert!(count().await >= before, "it goes on where it was");

    world.post(&format!("{path}/stop"), Value::Null).await;
    world.wait("a", &machine, "stopped").await;
    world.post(&format!("{path}/start"), Value::Null).await;
    world.wait("a", &machine, "started").await;
    assert_eq!(run("cat /data/file").await, "yes\n");
    world.call(reqwest::Method::DELETE, &format!("{path}?force=true"), Value::Null).await;
    world.wait("a", &machine, "destroyed").await;
    world.sim.stop().await;
}
