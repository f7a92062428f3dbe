//! Suspend and resume, and programs that run inside.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::time::Duration;

use contracts::ErrorCode;
use provider_api::conformance::{Fixture, Stack, eventually, run};
use provider_api::{Executed, Outcome, Result, RunStatus, RuntimeRef};
use provider_docker::conformance::{self as world, World, name};

const GRACE: Duration = Duration::from_secs(5);

/// A file that grows while the instance's processes run.
const CLOCK: &str = "while :; do echo x >> /home/pilot/clock; sleep 0.02; done";

async fn up(fixture: &Fixture) -> (Stack, RuntimeRef) {
    let mut stack = fixture.stack();
    stack.up().await;
    let runtime = stack.runtime();
    (stack, runtime)
}

async fn started_at(runtime: &RuntimeRef) -> Option<String> {
    World::new().await.inspect(runtime).await.state.unwrap().started_at
}

async fn exec(fixture: &Fixture, runtime: &RuntimeRef, words: &[&str], limit: Duration) -> Result<Executed> {
    let command: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    fixture.provider.exec().unwrap().exec(runtime, &command, limit).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_suspended_stands_still_and_goes_on_where_it_was() {
    run(world::fixture().await, |fixture| async move {
        let (_stack, runtime) = up(&fixture).await;
        let lifecycle = fixture.provider.lifecycle();
        let (born, endpoint) = (started_at(&runtime).await, lifecycle.endpoint(&runtime).await.unwrap());
        let script = format!("({CLOCK}) > /dev/null 2>&1 &");
        exec(&fixture, &runtime, &["sh", "-c", &script], GRACE).await.unwrap();
        for resume in [true, false] {
            lifecycle.suspend(&runtime).await.unwrap();
            lifecycle.suspend(&runtime).await.expect("suspending what is suspended is a success");
            assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Suspended);
            assert_eq!(lifecycle.endpoint(&runtime).await.unwrap(), endpoint, "stable over a suspend");
            if resume {
                lifecycle.resume(&runtime).await.unwrap();
                lifecycle.resume(&runtime).await.expect("resuming what runs is a success");
            } else {
                lifecycle.start(&runtime).await.unwrap();
            }
            assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Running);
            assert_eq!(lifecycle.endpoint(&runtime).await.unwrap(), endpoint);
        }
        assert_eq!(started_at(&runtime).await, born, "it never started anew");
        let ticks = async || fixture.backdoor.read_home(&runtime, "clock").await.unwrap().len();
        let before = ticks().await;
        eventually("the clock goes on", async || ticks().await > before).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_instance_uses_no_processor() {
    run(world::fixture().await, |fixture| async move {
        let (_stack, runtime) = up(&fixture).await;
        let busy = "while :; do :; done > /dev/null 2>&1 &";
        exec(&fixture, &runtime, &["sh", "-c", busy], GRACE).await.unwrap();
        let world = World::new().await;
        eventually("it is busy", async || world.processor_time(&runtime).await > 50_000_000).await;
        fixture.provider.lifecycle().suspend(&runtime).await.unwrap();
        let at_rest = world.processor_time(&runtime).await;
        assert_eq!(world.processor_time(&runtime).await, at_rest);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_instance_is_stopped_started_and_deleted() {
    run(world::fixture().await, |fixture| async move {
        let (stack, runtime) = up(&fixture).await;
        let lifecycle = fixture.provider.lifecycle();
        fixture.backdoor.write_home(&runtime, "notes", "kept").await;
        lifecycle.suspend(&runtime).await.unwrap();
        lifecycle.stop(&runtime, GRACE).await.unwrap();
        assert_eq!(
            lifecycle.status(&runtime).await.unwrap(),
            RunStatus::Stopped { exit_code: Some(0) },
            "it ended politely"
        );
        let error = lifecycle.suspend(&runtime).await.unwrap_err();
        assert_eq!((error.code, error.outcome), (ErrorCode::WorkspaceNotReady, Outcome::NothingHappened));
        lifecycle.resume(&runtime).await.expect("what is stopped is started");
        assert_eq!(fixture.backdoor.read_home(&runtime, "notes").await.as_deref(), Some("kept"));
        lifecycle.suspend(&runtime).await.unwrap();
        stack.down().await;
        assert_eq!(fixture.backdoor.objects(&runtime).await, Vec::<String>::new());
        assert!(lifecycle.suspend(&runtime).await.is_err(), "what is gone cannot be suspended");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_as_the_instances_user_and_tells_how_it_ended() {
    run(world::fixture().await, |fixture| async move {
        let (_stack, runtime) = up(&fixture).await;
        let script = "id -u; pwd; echo oops >&2; exit 3";
        let left = exec(&fixture, &runtime, &["sh", "-c", script], GRACE).await.unwrap();
        assert_eq!(left, Executed::new(3, "1000\n/home/pilot\n", "oops\n"));
        let missing = exec(&fixture, &runtime, &["no-such-program"], GRACE).await.unwrap();
        assert_eq!(missing.exit_code, 127);
        let much = exec(&fixture, &runtime, &["sh", "-c", "yes | head -c 9000000"], GRACE).await.unwrap();
        assert_eq!((much.exit_code, much.stdout.len() as u64 + much.stdout.dropped()), (0, 9_000_000));
        fixture.provider.lifecycle().stop(&runtime, GRACE).await.unwrap();
        let error = exec(&fixture, &runtime, &["true"], GRACE).await.unwrap_err();
        assert_eq!((error.code, error.outcome), (ErrorCode::WorkspaceNotReady, Outcome::NothingHappened));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_takes_too_long_is_ended() {
    run(world::fixture().await, |fixture| async move {
        let (_stack, runtime) = up(&fixture).await;
        let late = exec(&fixture, &runtime, &["sleep", "4321"], Duration::from_secs(1)).await.unwrap();
        assert_eq!(late, Executed::late("", ""));
        let world = World::new().await;
        let running = world.docker.top_processes(&name(&runtime), None).await.unwrap();
        let sleeps = |line: &Vec<String>| line.last().is_some_and(|words| words.starts_with("sleep 4321"));
        assert!(!running.processes.as_ref().unwrap().iter().any(sleeps), "{running:?}");
    })
    .await;
}
