//! Cases about run-state, secrets and what is left in the end.

use std::time::Duration;

use crate::conformance::{Bench, CanaryBoot, eventually};
use crate::{RunStatus, RuntimeRef};

const GRACE: Duration = Duration::from_secs(5);

async fn runs(bench: &Bench, runtime: &RuntimeRef) {
    let lifecycle = bench.provider.lifecycle();
    assert_eq!(lifecycle.status(runtime).await.unwrap(), RunStatus::Running);
    assert!(bench.hands.runs(runtime).await);
    let endpoint = lifecycle.endpoint(runtime).await.unwrap();
    assert_eq!(endpoint, lifecycle.endpoint(runtime).await.unwrap(), "stable while it runs");
    eventually("the endpoint takes connections", async || {
        tokio::net::TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.is_ok()
    })
    .await;
}

async fn is_stopped(bench: &Bench, runtime: &RuntimeRef) {
    let status = bench.provider.lifecycle().status(runtime).await.unwrap();
    assert!(matches!(status, RunStatus::Stopped { .. }), "{status:?}");
    assert!(!bench.hands.runs(runtime).await);
}

async fn owned(bench: &Bench) -> Vec<crate::OwnedObject> {
    bench.provider.inventory().expect("an inventory").list_owned(&bench.installation).await.unwrap()
}

pub async fn stop_and_start_keep_the_home(bench: &Bench) {
    let mut stack = bench.stack();
    stack.up().await;
    let (runtime, lifecycle) = (stack.runtime(), bench.provider.lifecycle());
    bench.hands.write_home(&runtime, "notes.txt", "kept").await;
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    is_stopped(bench, &runtime).await;
    for name in stack.names() {
        assert!(stack.read(&name).await.unwrap().is_some(), "a stopped {name} still exists");
    }
    lifecycle.start(&runtime).await.unwrap();
    runs(bench, &runtime).await;
    assert_eq!(bench.hands.read_home(&runtime, "notes.txt").await.as_deref(), Some("kept"));
}

pub async fn start_and_stop_may_be_repeated(bench: &Bench) {
    let mut stack = bench.stack();
    stack.up().await;
    let (runtime, lifecycle) = (stack.runtime(), bench.provider.lifecycle());
    let objects = bench.hands.objects(&runtime).await;
    lifecycle.start(&runtime).await.unwrap();
    lifecycle.start(&runtime).await.unwrap();
    runs(bench, &runtime).await;
    assert_eq!(bench.hands.objects(&runtime).await, objects, "starting what runs starts nothing");
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    is_stopped(bench, &runtime).await;
    let (first, second) = (bench.provider.lifecycle(), bench.second.lifecycle());
    let (a, b) = tokio::join!(first.start(&runtime), second.start(&runtime));
    a.unwrap();
    b.unwrap();
    runs(bench, &runtime).await;
    assert_eq!(bench.hands.objects(&runtime).await.len(), objects.len(), "two starts at once start one");
}

pub async fn a_deleted_runtime_is_absent_and_nothing_is_owned(bench: &Bench) {
    let mut stack = bench.stack();
    let (runtime, lifecycle) = (stack.runtime(), bench.provider.lifecycle());
    assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Absent);
    stack.up().await;
    assert!(owned(bench).await.iter().all(|object| object.runtime_id == runtime.runtime_id));
    assert!(owned(bench).await.len() >= stack.declared.resources.len());
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    stack.down().await;
    assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Absent);
    lifecycle.stop(&runtime, GRACE).await.expect("stopping what is gone is a success");
    assert!(lifecycle.start(&runtime).await.is_err());
    assert!(lifecycle.endpoint(&runtime).await.is_err());
    assert_eq!(bench.provider.logs().expect("logs").tail(&runtime, 1000).await.unwrap(), "");
    assert_eq!(owned(bench).await, []);
}

pub async fn delete_ends_what_runs(bench: &Bench) {
    let mut stack = bench.stack();
    stack.up().await;
    runs(bench, &stack.runtime()).await;
    stack.down().await;
    assert!(!bench.hands.runs(&stack.runtime()).await);
    assert_eq!(owned(bench).await, []);
}

pub async fn boot_files_arrive_and_are_never_shown(bench: &Bench) {
    let mut stack = bench.stack();
    stack.up().await;
    let (runtime, canary) = (stack.runtime(), bench.boot.canary());
    assert_eq!(bench.hands.read_home(&runtime, CanaryBoot::PATH).await.as_deref(), Some(canary.as_str()));
    let mut shown = format!("{:?}{:?}{:?}", stack.state, stack.declared, owned(bench).await);
    for name in stack.names() {
        shown += &format!("{:?}{:?}", stack.read(&name).await, stack.import(&name).await);
    }
    shown += &bench.provider.logs().expect("logs").tail(&runtime, 100_000).await.unwrap();
    shown += &format!("{:?}", bench.provider.lifecycle().endpoint(&runtime).await);
    stack.down().await;
    shown += &format!("{:?}", bench.provider.lifecycle().start(&runtime).await.unwrap_err());
    assert!(!shown.contains(&canary), "the boot file's text is in: {shown}");
}

pub async fn boot_files_are_delivered_anew_at_every_start(bench: &Bench) {
    let mut stack = bench.stack();
    stack.up().await;
    let (runtime, lifecycle) = (stack.runtime(), bench.provider.lifecycle());
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    bench.boot.change();
    lifecycle.start(&runtime).await.unwrap();
    let delivered = bench.hands.read_home(&runtime, CanaryBoot::PATH).await;
    assert_eq!(delivered, Some(bench.boot.canary()));
}
