//! Cases about what must never be shown.

use std::time::Duration;

use crate::conformance::{CanaryBootFiles, Fixture, Stack, eventually, logbook};

const GRACE: Duration = Duration::from_secs(5);

/// Everything about a running stack that users, the engine or an operator's log may get to see.
async fn all_that_is_shown(fixture: &Fixture, stack: &Stack) -> String {
    let runtime = stack.runtime();
    let mut shown = format!("{:?}{:?}{:?}", stack.state, stack.declared, fixture.owned().await);
    for name in stack.names() {
        shown += &format!("{:?}{:?}", stack.read(&name).await, stack.import(&name).await);
    }
    let lifecycle = fixture.provider.lifecycle();
    shown += &format!("{:?}{:?}", lifecycle.status(&runtime).await, lifecycle.endpoint(&runtime).await);
    if let Some(logs) = fixture.provider.logs() {
        shown += &logs.tail(&runtime, 100_000).await.unwrap();
    }
    shown += &format!("{:?}{:?}", fixture.provider.describe(), fixture.provider.ready().await);
    shown + &logbook::read()
}

/// Errors, with their actions and all, of calls that fail.
/// Asked at once: each may wait for as long as a call takes.
async fn errors_of(fixture: &Fixture, stack: &Stack) -> String {
    let (lifecycle, runtime) = (fixture.provider.lifecycle(), stack.runtime());
    let names = stack.names();
    let of_each = names.iter().map(|name| async move {
        let mut again = stack.clone();
        let (read, made) = tokio::join!(stack.read(name), again.create(name));
        format!("{read:?}{made:?}")
    });
    let (of_all, started, endpoint, ready) = tokio::join!(
        futures_util::future::join_all(of_each),
        lifecycle.start(&runtime),
        lifecycle.endpoint(&runtime),
        fixture.provider.ready(),
    );
    of_all.concat() + &format!("{started:?}{endpoint:?}{ready:?}")
}

fn is_not_in(secret: &str, shown: &str) {
    let at = shown.find(secret);
    let around = at.map(|at| shown[at.saturating_sub(200)..at].to_owned());
    assert_eq!(around, None, "a secret follows this text");
}

pub async fn boot_files_arrive_and_are_never_shown(fixture: &Fixture) {
    logbook::open();
    let mut stack = fixture.stack();
    stack.up().await;
    let (runtime, canary) = (stack.runtime(), fixture.boot.canary());
    eventually("the boot file is in the home", async || {
        fixture.backdoor.read_home(&runtime, CanaryBootFiles::PATH).await.as_ref() == Some(&canary)
    })
    .await;
    let mut shown = all_that_is_shown(fixture, &stack).await;
    stack.down().await;
    let gone = fixture.provider.lifecycle().start(&runtime).await;
    shown += &format!("{:?}", gone.expect_err("what is gone cannot be started"));
    is_not_in(&canary, &(shown + &logbook::read()));
}

pub async fn boot_files_are_delivered_anew_at_every_start(fixture: &Fixture) {
    let mut stack = fixture.stack();
    stack.up().await;
    let (runtime, lifecycle) = (stack.runtime(), fixture.provider.lifecycle());
    lifecycle.stop(&runtime, GRACE).await.unwrap();
    fixture.boot.change();
    lifecycle.start(&runtime).await.unwrap();
    let canary = fixture.boot.canary();
    eventually("the new boot file is in the home", async || {
        fixture.backdoor.read_home(&runtime, CanaryBootFiles::PATH).await.as_ref() == Some(&canary)
    })
    .await;
}

pub async fn the_credential_is_never_shown(fixture: &Fixture) {
    logbook::open();
    let credential = fixture.credential.as_ref().expect("a credential");
    let mut stack = fixture.stack();
    stack.up().await;
    let mut shown = all_that_is_shown(fixture, &stack).await;
    if let Some(faults) = &fixture.faults {
        faults.unreachable().await;
        shown += &errors_of(fixture, &stack).await;
        faults.heal().await;
    }
    stack.down().await;
    shown += &errors_of_the_gone(fixture, &stack).await;
    is_not_in(credential, &(shown + &logbook::read()));
}

async fn errors_of_the_gone(fixture: &Fixture, stack: &Stack) -> String {
    let (lifecycle, runtime) = (fixture.provider.lifecycle(), stack.runtime());
    format!("{:?}{:?}", lifecycle.start(&runtime).await, lifecycle.endpoint(&runtime).await)
}
