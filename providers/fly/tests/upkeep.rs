//! What stays as it is over starts and changes, and what goes: images, volumes that are somebody's, secrets of before.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use contracts::ErrorCode;
use provider_api::conformance::{Backdoor, Stack, eventually};
use provider_api::{RunStatus, RuntimeSpec};
use serde_json::{Value, json};
use sim_fly::{Registry, RunnerKind};
use world::{World, app, stack_in};

const IMAGE: &str = "registry.fly.io/pilot-instance:1";
const GRACE: Duration = Duration::from_secs(5);

async fn records() -> World {
    World::with(|settings| settings.runner = RunnerKind::Records).await
}

async fn up(world: &World) -> Stack {
    let mut stack = stack_in(world, &world.provider(), "fra");
    stack.up().await;
    stack
}

async fn post(world: &World, path: &str, body: Value) -> Value {
    let url = format!("{}/v1{path}", world.sim.api_url());
    let answer = reqwest::Client::new().post(url).bearer_auth(&world.token).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_or_another_size_keeps_the_image_that_its_tag_meant_and_shows_no_difference() {
    let registry = Registry::default();
    registry.push(IMAGE, "sha256:one");
    registry.push("registry.fly.io/pilot-instance:2", "sha256:three");
    let given = registry.clone();
    let world = World::with(|settings| {
        settings.runner = RunnerKind::Records;
        settings.registry = given;
    })
    .await;
    let mut stack = up(&world).await;
    let (runtime, lifecycle) = (stack.runtime(), stack.provider.lifecycle());
    let runs = || world.machine(&runtime).unwrap().image_digest;
    assert_eq!(runs(), "sha256:one");
    registry.push(IMAGE, "sha256:two");
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    world.boot.change();
    lifecycle.start(&runtime).await.unwrap();
    assert_eq!(runs(), "sha256:one", "a mere start");
    let read = stack.read("instance").await.unwrap().unwrap();
    assert_eq!(read.inputs, stack.state["instance"].0, "it is called as it was");
    stack.change_to(RuntimeSpec { size: "large".to_owned(), generation: 2, ..stack.spec.clone() }).await;
    assert_eq!(runs(), "sha256:one", "another size");
    let image = Some(contracts::workspace::Image::named("registry.fly.io/pilot-instance:2"));
    stack.change_to(RuntimeSpec { image, generation: 3, ..stack.spec.clone() }).await;
    assert_eq!(runs(), "sha256:three", "another image");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_nobody_has_pushed_is_named() {
    let registry = Registry::default();
    registry.push("registry.fly.io/another:1", "sha256:one");
    let world = World::with(|settings| {
        settings.runner = RunnerKind::Records;
        settings.registry = registry;
    })
    .await;
    let mut stack = stack_in(&world, &world.provider(), "fra");
    let error = stack.try_up().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ImageMissing, "{error}");
    assert!(error.message.contains(IMAGE) && error.action.unwrap().contains("registry.fly.io/APP:TAG"));
    stack.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_of_another_time_is_never_taken_for_a_double() {
    let world = records().await;
    let mut stack = up(&world).await;
    let runtime = stack.runtime();
    let first = world.sim.volumes()[0].id.clone();
    world.sim.age_volume(&first, Duration::from_secs(3600)).await;
    let path = format!("/apps/{}/volumes", app(&runtime));
    let second = post(&world, &path, json!({"name": "home", "region": "fra", "size_gb": 10})).await;
    // Beside the one in use it is left alone.
    stack.create("home").await.unwrap();
    assert_eq!(world.sim.volumes().len(), 2);
    world.remove(&runtime, "instance").await;
    let error = stack.create("home").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ForeignObject, "{error}");
    assert!(
        error.message.contains(&first) && error.message.contains(second["id"].as_str().unwrap()),
        "{error}"
    );
    assert_eq!(world.sim.volumes().len(), 2, "nobody's files are chosen between");
    stack.down().await;
    assert_eq!(world.objects(&runtime).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_boot_files_that_no_boot_has_any_more_are_removed() {
    let world = records().await;
    let stack = up(&world).await;
    let (runtime, lifecycle) = (stack.runtime(), stack.provider.lifecycle());
    for _ in 0..3 {
        lifecycle.stop(&runtime, GRACE).await.unwrap();
        world.boot.change();
        lifecycle.start(&runtime).await.unwrap();
    }
    let files = world.machine(&runtime).unwrap().config["files"].clone();
    let files = files.as_array().unwrap().iter().map(|file| file["secret_name"].as_str().unwrap().to_owned());
    let secrets: BTreeSet<String> = world.sim.apps()[0].secrets.keys().cloned().collect();
    assert_eq!(secrets, files.collect::<BTreeSet<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_not_given_longer_than_fly_lets_it_run() {
    let world = records().await;
    let stack = up(&world).await;
    let exec = stack.provider.exec().unwrap();
    let command = ["true".to_owned()];
    let error = exec.exec(&stack.runtime(), &command, Duration::from_secs(31)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::BadRequest, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_deleted_when_fly_does_not_know_it_any_more() {
    let world = World::with(|settings| settings.delays.app_delete = Duration::from_secs(3)).await;
    let mut stack = stack_in(&world, &world.provider(), "fra");
    stack.up().await;
    stack.down().await;
    let inventory = stack.provider.inventory().unwrap();
    assert_eq!(inventory.list_runtime(&stack.runtime()).await.unwrap(), []);
    stack.up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_on_its_way_is_pending_says_in_which_state_and_is_reached_when_it_runs() {
    let world = records().await;
    let stack = up(&world).await;
    let (runtime, lifecycle) = (stack.runtime(), stack.provider.lifecycle());
    let pending = |state: &str| RunStatus::Pending { reason: format!("its machine is {state}") };
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    world.sim.hold_boots(true);
    let start = tokio::spawn({
        let (runtime, lifecycle) = (runtime.clone(), lifecycle.clone());
        async move { lifecycle.start(&runtime).await }
    });
    eventually("it is starting", async || lifecycle.status(&runtime).await.unwrap() == pending("starting"))
        .await;
    let no_address = lifecycle.endpoint(&runtime).await.unwrap_err();
    assert_eq!(no_address.code, ErrorCode::WorkspaceNotReady, "{no_address}");
    assert!(no_address.message.contains("starting") && !start.is_finished());
    world.sim.hold_boots(false);
    start.await.unwrap().unwrap();
    assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Running);
    lifecycle.endpoint(&runtime).await.unwrap();
}
