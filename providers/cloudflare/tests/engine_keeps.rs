//! An account that keeps file systems (the scheduling policy `durable_object`): what becomes of files when something goes wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

#[path = "support/world.rs"]
mod world;

use std::process::Command;
use std::time::Duration;

use contracts::{ErrorCode, RuntimeId};
use provider_api::conformance::{Backdoor as _, Stack, eventually};
use provider_api::{RunStatus, RuntimeSpec, Take, Told};
use provider_cloudflare::conformance::OTHER_IMAGE;
use serde_json::{Value, json};
use world::{TOKEN, World};

const GRACE: Duration = Duration::from_secs(5);

async fn keeping() -> World {
    let world = world::start().await.keeping();
    world.apply_shared(&world.provider()).await.unwrap();
    world
}

fn stack(world: &World) -> Stack {
    let provider = world.provider();
    let size = provider.describe().sizes[0].name.clone();
    let spec = RuntimeSpec::new(RuntimeId::random(), world.installation.clone(), size);
    Stack::new(provider, spec)
}

async fn fail_snapshots(world: &World, fail: bool) {
    world.sim.lock().await.as_ref().unwrap().fail_snapshots(fail);
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

async fn end(world: World) {
    let installation = world.installation.clone();
    world.sweep(&installation).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_saved_is_not_stopped_and_is_told() {
    let world = keeping().await;
    let mut stack = stack(&world);
    stack.up().await;
    let (runtime, lifecycle) = (stack.runtime(), stack.provider.lifecycle());
    world.write_home(&runtime, "notes", "of now").await;
    fail_snapshots(&world, true).await;
    let error = lifecycle.stop(&runtime, GRACE).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ProviderFailed);
    assert!(error.message.contains("could not be saved"), "{error}");
    assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Running);
    assert_eq!(world.read_home(&runtime, "notes").await.as_deref(), Some("of now"));
    // Not even its instance is deleted, where its home is to stay.
    assert!(stack.delete("instance").await.is_err());
    assert!(world.runs(&runtime).await);
    fail_snapshots(&world, false).await;
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    lifecycle.start(&runtime).await.unwrap();
    assert_eq!(world.read_home(&runtime, "notes").await.as_deref(), Some("of now"));
    stack.down().await;
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_home_goes_as_well_is_removed_though_nothing_of_it_can_be_saved() {
    let world = keeping().await;
    let mut stack = stack(&world);
    stack.up().await;
    let (runtime, lifecycle) = (stack.runtime(), stack.provider.lifecycle());
    fail_snapshots(&world, true).await;
    assert!(stack.delete("instance").await.is_err());
    lifecycle.home_goes(&runtime).await.unwrap();
    lifecycle.home_goes(&runtime).await.unwrap();
    assert!(!world.runs(&runtime).await);
    stack.down().await;
    assert_eq!(world.objects(&runtime).await, Vec::<String>::new());
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_cloudflare_has_no_more_is_told_and_nothing_empty_is_begun() {
    let world = keeping().await;
    let mut stack = stack(&world);
    stack.up().await;
    let (runtime, lifecycle) = (stack.runtime(), stack.provider.lifecycle());
    let taken = stack.provider.snapshots().unwrap().take(&runtime, &Take::of("then")).await.unwrap();
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    world.sim.lock().await.as_ref().unwrap().expire_snapshots().await;
    let error = lifecycle.start(&runtime).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::SnapshotNotFound, "{error}");
    assert!(error.message.contains("snapshot not found"), "{error}");
    assert!(error.action.unwrap().contains("pilot ws snapshot restore"));
    assert!(!world.runs(&runtime).await);
    // What was restored makes way for what was there before.
    let snapshots = stack.provider.snapshots().unwrap();
    snapshots.restore(&runtime, &taken.id, &Told::nobody()).await.unwrap();
    let error = lifecycle.start(&runtime).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::SnapshotNotFound, "{error}");
    assert!(error.message.contains("the files are as before it was restored"), "{error}");
    // It is not over by our own clock, so nothing is taken for gone.
    assert_eq!(world.objects(&runtime).await.len(), 2);
    stack.down().await;
    assert_eq!(world.objects(&runtime).await, Vec::<String>::new());
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_were_not_brought_to_another_image_are_where_they_were() {
    let world = keeping().await;
    let mut stack = stack(&world);
    stack.up().await;
    let (runtime, lifecycle) = (stack.runtime(), stack.provider.lifecycle());
    world.write_home(&runtime, "notes", "of before").await;
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    let other = world.by_digest(OTHER_IMAGE);
    stack.provider.images().unwrap().resolve(&other).await.unwrap();
    let spec = RuntimeSpec {
        generation: 2,
        image: Some(contracts::workspace::Image::named(other)),
        ..stack.spec.clone()
    };
    stack.change_to(spec).await;
    fail_snapshots(&world, true).await;
    let error = lifecycle.start(&runtime).await.unwrap_err();
    assert!(error.message.contains("could not be moved to the other image"), "{error}");
    fail_snapshots(&world, false).await;
    lifecycle.start(&runtime).await.unwrap();
    assert_eq!(world.read_home(&runtime, "notes").await.as_deref(), Some("of before"));
    let made_of = docker(&["inspect", "--format", "{{.Image}}", &world.container(&runtime).unwrap()]);
    let labels = docker(&["inspect", "--format", "{{json .Config.Labels}}", &made_of]);
    assert!(labels.contains("another"), "it is of the other image: {labels}");
    stack.down().await;
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_platform_ended_begins_with_what_was_saved_last() {
    let world = keeping().await;
    let mut stack = stack(&world);
    stack.up().await;
    let (runtime, snapshots) = (stack.runtime(), stack.provider.snapshots().unwrap());
    world.write_home(&runtime, "notes", "saved").await;
    snapshots.take(&runtime, &Take::of("then")).await.unwrap();
    world.write_home(&runtime, "notes", "not saved").await;
    let first = world.container(&runtime).unwrap();
    docker(&["kill", "--signal", "TERM", &first]);
    eventually("a new container runs", async || {
        world.container(&runtime).is_some_and(|container| container != first)
    })
    .await;
    assert_eq!(world.read_home(&runtime, "notes").await.as_deref(), Some("saved"));
    stack.down().await;
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_runtime_is_as_large_as_it_was_made() {
    let world = keeping().await;
    let (mut small, mut large) = (stack(&world), stack(&world));
    let sizes = small.provider.describe().sizes;
    assert_eq!(
        (sizes.len(), sizes[0].name.as_str()),
        (5, "standard-1"),
        "all but the one that no start knows"
    );
    let spec = RuntimeSpec { size: "standard-2".to_owned(), ..large.spec.clone() };
    large = Stack::new(large.provider.clone(), spec);
    small.up().await;
    large.up().await;
    let memory = |stack: &Stack| {
        let container = world.container(&stack.runtime()).unwrap();
        docker(&["inspect", "--format", "{{.HostConfig.Memory}}", &container])
    };
    assert_eq!(
        (memory(&small), memory(&large)),
        ((4096_u64 << 20).to_string(), (6144_u64 << 20).to_string())
    );
    // Another size of one is a restart of that one.
    let other = world.container(&large.runtime());
    let spec = RuntimeSpec { generation: 2, size: "standard-2".to_owned(), ..small.spec.clone() };
    small.change_to(spec).await;
    assert_eq!(memory(&small), (6144_u64 << 20).to_string());
    assert_eq!(world.container(&large.runtime()), other);
    small.down().await;
    large.down().await;
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_keeps_the_policy_with_which_it_was_made() {
    let world = world::start().await;
    world.apply_shared(&world.provider()).await.unwrap();
    let world = world.keeping();
    let provider = world.provider();
    for error in [provider.ready().await.unwrap_err(), world.apply_shared(&provider).await.unwrap_err()] {
        assert_eq!(error.code, ErrorCode::ProviderNotConfigured, "{error}");
        assert!(
            error.action.as_ref().unwrap().contains("PILOT_CLOUDFLARE_SCHEDULING_POLICY=default"),
            "{error:?}"
        );
    }
    // With that it goes on as before.
    let before = world.provider_with(&[("SCHEDULING_POLICY", "default")]);
    before.ready().await.unwrap();
    world.apply_shared(&before).await.unwrap();
    assert!(!before.describe().persistent_home && before.images().is_none() && before.snapshots().is_none());
    end(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulator_takes_of_this_policy_what_cloudflare_documents() {
    let world = keeping().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |method: &str, path: &str, body: Value| {
        let url = format!("{}/accounts/{}/containers{path}", world.urls.api, world.urls.account);
        let request = client.request(method.parse().unwrap(), url).bearer_auth(TOKEN).json(&body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (_, listed) = ask("GET", "/applications", json!(null)).await;
    let application = &listed["result"][0];
    assert_eq!(application["scheduling_policy"], "durable_object");
    assert!(application["configuration"].is_null() && application["max_instances"].is_null());
    let id = application["id"].as_str().unwrap();
    assert_eq!(ask("PATCH", &format!("/applications/{id}"), json!({"max_instances": 3})).await.0, 400);
    let rollout = json!({"strategy": "rolling", "kind": "full_auto", "step_percentage": 100,
                         "target_configuration": {"image": "i"}});
    assert_eq!(ask("POST", &format!("/applications/{id}/rollouts"), rollout).await.0, 400);
    let with_size = json!({"name": "x", "scheduling_policy": "durable_object", "instances": 1,
                           "durable_objects": application["durable_objects"]});
    assert_eq!(ask("POST", "/applications", with_size).await.0, 400);
    let by_tag = format!("registry.cloudflare.com/{}/pilot-instance:1", world.urls.account);
    assert_eq!(ask("POST", "/image-preparations", json!({"image": by_tag})).await.0, 400);
    let error = world.provider_with(&[("IMAGE", &by_tag)]).ready().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ImageMissing);
    assert!(error.action.unwrap().contains("@sha256:"));
    end(world).await;
}
