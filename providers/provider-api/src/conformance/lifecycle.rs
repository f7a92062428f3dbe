//! Cases about run-state and what is left in the end.

use std::collections::BTreeSet;
use std::time::Duration;

use contracts::{ErrorCode, InstallationId};
use futures_util::StreamExt as _;

use crate::conformance::{Fixture, Stack, eventually};
use crate::{Result, RunStatus, RuntimeRef, RuntimeSpec};

const GRACE: Duration = Duration::from_secs(5);

async fn runs(fixture: &Fixture, runtime: &RuntimeRef) {
    let lifecycle = fixture.provider.lifecycle();
    assert_eq!(lifecycle.status(runtime).await.unwrap(), RunStatus::Running);
    assert!(fixture.backdoor.runs(runtime).await);
    let endpoint = lifecycle.endpoint(runtime).await.unwrap();
    assert_eq!(endpoint, lifecycle.endpoint(runtime).await.unwrap(), "stable while it runs");
    endpoint.usable().unwrap_or_else(|problem| panic!("the gateway does not use it: {}", problem.detail));
    eventually("the endpoint takes connections", async || {
        tokio::net::TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.is_ok()
    })
    .await;
}

async fn is_stopped(fixture: &Fixture, runtime: &RuntimeRef) {
    let status = fixture.provider.lifecycle().status(runtime).await.unwrap();
    assert!(matches!(status, RunStatus::Stopped { .. }), "{status:?}");
    assert!(!fixture.backdoor.runs(runtime).await);
}

pub async fn only_a_persistent_home_outlives_a_stop(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
    fixture.backdoor.write_home(&runtime, "notes.txt", "kept").await;
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    is_stopped(fixture, &runtime).await;
    for name in stack.names() {
        assert!(stack.read(&name).await.unwrap().is_some(), "a stopped {name} still exists");
    }
    lifecycle.start(&runtime).await.unwrap();
    runs(fixture, &runtime).await;
    let expected = fixture.provider.describe().persistent_home.then_some("kept");
    assert_eq!(fixture.backdoor.read_home(&runtime, "notes.txt").await.as_deref(), expected);
}

/// What `status` says of each, as the words of a set: errors by their code.
async fn said(fixture: &Fixture, runtimes: &[RuntimeRef]) -> BTreeSet<String> {
    let (mut each, lifecycle) = (BTreeSet::new(), fixture.second.lifecycle());
    for runtime in runtimes {
        let status = lifecycle.status(runtime).await.map_err(|error| error.code);
        each.insert(format!("{}: {status:?}", runtime.runtime_id));
    }
    each
}

async fn said_of_many(fixture: &Fixture, runtimes: &[RuntimeRef]) -> BTreeSet<String> {
    let ids: Vec<_> = runtimes.iter().map(|runtime| runtime.runtime_id.clone()).collect();
    let lifecycle = fixture.second.lifecycle();
    let many = lifecycle.status_many(runtimes[0].installation.clone(), ids.clone());
    let many: Vec<_> = many.collect().await;
    assert_eq!(many.len(), ids.len(), "each is told of once: {many:?}");
    let said =
        |(id, status): (_, Result<RunStatus>)| format!("{id}: {:?}", status.map_err(|error| error.code));
    many.into_iter().map(said).collect()
}

pub async fn what_is_said_of_many_is_what_is_said_of_each(fixture: &Fixture) {
    let (mut running, mut stopped, never) = (fixture.stack(), fixture.stack(), fixture.stack());
    let lifecycle = fixture.provider.lifecycle();
    running.up().await;
    stopped.up().await;
    lifecycle.stop(&stopped.runtime(), GRACE).await.unwrap();
    let mut runtimes = vec![running.runtime(), stopped.runtime(), never.runtime()];
    if fixture.provider.describe().suspend {
        let mut suspended = fixture.stack();
        suspended.up().await;
        lifecycle.suspend(&suspended.runtime()).await.unwrap();
        runtimes.push(suspended.runtime());
    }
    let each = said(fixture, &runtimes).await;
    assert_eq!(each.len(), runtimes.len());
    assert_eq!(said_of_many(fixture, &runtimes).await, each);
    assert_eq!(said_of_many(fixture, &runtimes[..1]).await, said(fixture, &runtimes[..1]).await);
    let other = InstallationId::random();
    let theirs: Vec<_> =
        runtimes.iter().map(|runtime| RuntimeRef::new(runtime.runtime_id.clone(), other.clone())).collect();
    assert_eq!(said_of_many(fixture, &theirs).await, said(fixture, &theirs).await, "of another installation");
    running.down().await;
    assert_eq!(said_of_many(fixture, &runtimes).await, said(fixture, &runtimes).await, "one is gone now");
}

pub async fn start_and_stop_may_be_repeated(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
    let objects = fixture.backdoor.objects(&runtime).await;
    lifecycle.start(&runtime).await.unwrap();
    lifecycle.start(&runtime).await.unwrap();
    runs(fixture, &runtime).await;
    assert_eq!(fixture.backdoor.objects(&runtime).await, objects, "starting what runs starts nothing");
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    is_stopped(fixture, &runtime).await;
    let (first, second) = (fixture.provider.lifecycle(), fixture.second.lifecycle());
    let (a, b) = tokio::join!(first.start(&runtime), second.start(&runtime));
    a.unwrap();
    b.unwrap();
    runs(fixture, &runtime).await;
    assert_eq!(fixture.backdoor.objects(&runtime).await.len(), objects.len(), "two starts at once start one");
}

pub async fn a_deleted_runtime_is_absent_and_nothing_is_owned(fixture: &Fixture) {
    let mut stack = fixture.stack();
    let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
    assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Absent);
    stack.up().await;
    assert!(fixture.owned().await.iter().all(|object| object.runtime_id == runtime.runtime_id));
    assert!(fixture.owned().await.len() >= stack.declared.resources.len());
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    stack.down().await;
    assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Absent);
    lifecycle.stop(&runtime, GRACE).await.expect("stopping what is gone is a success");
    assert!(lifecycle.start(&runtime).await.is_err());
    assert!(lifecycle.suspend(&runtime).await.is_err());
    assert!(lifecycle.endpoint(&runtime).await.is_err());
    if let Some(logs) = fixture.provider.logs() {
        assert_eq!(logs.tail(&runtime, 1000).await.unwrap(), "");
    }
    assert_eq!(fixture.owned().await, []);
}

pub async fn delete_ends_what_runs(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    runs(fixture, &stack.runtime()).await;
    stack.down().await;
    assert!(!fixture.backdoor.runs(&stack.runtime()).await);
    assert_eq!(fixture.owned().await, []);
}

pub async fn a_suspended_instance_goes_on_with_its_files_and_memory(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
    runs(fixture, &runtime).await;
    fixture.backdoor.write_home(&runtime, "notes.txt", "kept").await;
    fixture.backdoor.write_memory(&runtime, "remembered").await;
    let endpoint = lifecycle.endpoint(&runtime).await.unwrap();
    // Both ways back: `resume`, and the `start` that a user's request becomes.
    for way_back in ["resume", "start"] {
        lifecycle.suspend(&runtime).await.unwrap();
        assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Suspended);
        assert!(!fixture.backdoor.runs(&runtime).await, "a suspended instance has no processor");
        for name in stack.names() {
            assert!(stack.read(&name).await.unwrap().is_some(), "a suspended {name} still exists");
        }
        match way_back {
            "resume" => lifecycle.resume(&runtime).await.unwrap(),
            _ => lifecycle.start(&runtime).await.unwrap(),
        }
        runs(fixture, &runtime).await;
        assert_eq!(lifecycle.endpoint(&runtime).await.unwrap(), endpoint, "stable over a suspend");
        assert_eq!(fixture.backdoor.read_home(&runtime, "notes.txt").await.as_deref(), Some("kept"));
        assert_eq!(fixture.backdoor.read_memory(&runtime).await.as_deref(), Some("remembered"), "{way_back}");
    }
}

pub async fn suspend_and_resume_may_be_repeated(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
    lifecycle.resume(&runtime).await.expect("resuming what runs is a success");
    lifecycle.suspend(&runtime).await.unwrap();
    lifecycle.suspend(&runtime).await.expect("suspending what is suspended is a success");
    assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Suspended);
    lifecycle.stop(&runtime, GRACE).await.expect("what is suspended can be stopped");
    is_stopped(fixture, &runtime).await;
    lifecycle.suspend(&runtime).await.expect_err("what is stopped cannot be suspended");
    is_stopped(fixture, &runtime).await;
    lifecycle.start(&runtime).await.unwrap();
    runs(fixture, &runtime).await;
    lifecycle.suspend(&runtime).await.unwrap();
    stack.down().await;
    assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Absent);
    assert_eq!(fixture.owned().await, [], "a suspended instance is deleted like any other");
}

pub async fn each_size_is_suspended_or_refused_and_goes_on(fixture: &Fixture) {
    let lifecycle = fixture.provider.lifecycle();
    for size in fixture.provider.describe().sizes {
        let mut stack = fixture.stack();
        stack = Stack::new(fixture.provider.clone(), RuntimeSpec { size: size.name.clone(), ..stack.spec });
        stack.up().await;
        let suspended = lifecycle.suspend(&stack.runtime()).await;
        let status = lifecycle.status(&stack.runtime()).await.unwrap();
        match fixture.provider.suspends(&size.name) {
            true => assert_eq!((suspended.is_ok(), status), (true, RunStatus::Suspended), "{suspended:?}"),
            false => {
                let error = suspended.expect_err("this size cannot be suspended");
                assert_eq!((error.code, status), (ErrorCode::CapabilityUnsupported, RunStatus::Running));
            }
        }
        stack.down().await;
    }
}

pub async fn what_cannot_run_yet_says_why_and_runs_when_it_can(fixture: &Fixture) {
    let faults = fixture.faults.clone().expect("a way to leave no room");
    let mut stack = fixture.stack();
    stack.up().await;
    let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    faults.fill().await;
    for _ in 0..2 {
        lifecycle.start(&runtime).await.expect("it is accepted");
        let status = lifecycle.status(&runtime).await.unwrap();
        let RunStatus::Pending { reason } = status else { panic!("it is {status:?}") };
        assert!(!reason.trim().is_empty());
        assert!(!fixture.backdoor.runs(&runtime).await);
    }
    let no_address = lifecycle.endpoint(&runtime).await.expect_err("it runs nowhere yet");
    assert_eq!(no_address.code, ErrorCode::WorkspaceNotReady);
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    assert!(matches!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Stopped { .. }));
    lifecycle.start(&runtime).await.unwrap();
    faults.heal().await;
    eventually("it runs", async || lifecycle.status(&runtime).await.unwrap() == RunStatus::Running).await;
    assert!(fixture.backdoor.runs(&runtime).await);
    lifecycle.endpoint(&runtime).await.expect("it has an address");
    // And what waits is deleted as anything else.
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    faults.fill().await;
    lifecycle.start(&runtime).await.unwrap();
    stack.down().await;
    assert_eq!(fixture.owned().await, []);
}

pub async fn a_hibernated_instance_boots_with_its_files(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
    fixture.backdoor.write_home(&runtime, "notes.txt", "kept").await;
    for _ in 0..2 {
        lifecycle.hibernate(&runtime, GRACE).await.unwrap();
        is_stopped(fixture, &runtime).await;
    }
    lifecycle.resume(&runtime).await.unwrap();
    runs(fixture, &runtime).await;
    assert_eq!(fixture.backdoor.read_home(&runtime, "notes.txt").await.as_deref(), Some("kept"));
    if fixture.provider.describe().suspend {
        lifecycle.suspend(&runtime).await.unwrap();
        lifecycle.hibernate(&runtime, GRACE).await.expect("what is suspended gives its memory back");
        is_stopped(fixture, &runtime).await;
    }
    stack.down().await;
    assert_eq!(fixture.owned().await, []);
}

pub async fn what_happens_to_an_instance_is_told(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let mut other = fixture.stack();
    other.up().await;
    let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
    let second = fixture.second.lifecycle();
    let mut changes = second.watch(fixture.installation.clone()).expect("it tells");
    let mut strangers = second.watch(InstallationId::random()).expect("it tells");
    // What happens before somebody listens is not told, so it happens again.
    let happens = async {
        loop {
            lifecycle.stop(&runtime, GRACE).await.unwrap();
            lifecycle.start(&runtime).await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(30), async {
        tokio::select! {
            change = changes.next() => change,
            change = strangers.next() => panic!("told of another installation: {change:?}"),
            () = happens => unreachable!(),
        }
    });
    let change = told.await.expect("in time").expect("it goes on").expect("it is heard");
    assert_eq!(change, runtime.runtime_id, "and not of who is left alone");
}
