//! What ends a command in a container, and what is told of one that could not be begun.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::time::{Duration, Instant};

use bollard::models::ContainerUpdateBody;
use bollard::query_parameters::TopOptionsBuilder;
use contracts::ErrorCode;
use provider_api::conformance::{Fixture, Stack, eventually, run};
use provider_api::{Executed, Outcome, Result, RuntimeRef};
use provider_docker::conformance::{self as world, World, name};

const GRACE: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(30);

async fn up(fixture: &Fixture) -> (Stack, RuntimeRef) {
    let mut stack = fixture.stack();
    stack.up().await;
    let runtime = stack.runtime();
    (stack, runtime)
}

async fn exec(fixture: &Fixture, runtime: &RuntimeRef, words: &[&str], limit: Duration) -> Result<Executed> {
    let command: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    fixture.provider.exec().unwrap().exec(runtime, &command, limit).await
}

/// Whether a process of the container has this in its command line.
async fn runs(runtime: &RuntimeRef, words: &str) -> bool {
    let all = World::new().await.docker.top_processes(&name(runtime), None).await.unwrap();
    all.processes.unwrap().into_iter().any(|line| line.last().unwrap().contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_nobody_waits_for_is_ended_with_its_group() {
    run(world::fixture().await, |fixture| async move {
        let (_stack, runtime) = up(&fixture).await;
        for refuses in ["", "trap '' TERM; "] {
            let script = format!("{refuses}sleep 4331 & setsid sleep 4331 & sleep 4331; true");
            let command = ["sh", "-c", &script];
            let waited = exec(&fixture, &runtime, &command, Duration::from_secs(300));
            let begun = eventually("it sleeps", async || runs(&runtime, "sleep 4331").await);
            tokio::select! {
                done = waited => panic!("it ended: {done:?}"),
                () = begun => {}
            }
            eventually("nothing of it is left", async || !runs(&runtime, "4331").await).await;
        }
        eventually("nor of who waited", async || !runs(&runtime, "kill -KILL").await).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_leaves_in_the_background_goes_on_and_what_closed_its_output_is_waited_for() {
    run(world::fixture().await, |fixture| async move {
        let (_stack, runtime) = up(&fixture).await;
        let began = Instant::now();
        let script = "echo on; sleep 4332 &";
        let done = exec(&fixture, &runtime, &["sh", "-c", script], LIMIT).await.unwrap();
        assert_eq!(done, Executed::new(0, "on\n", ""));
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        let script = "exec > /dev/null 2>&1; sleep 1; exit 3";
        let done = exec(&fixture, &runtime, &["sh", "-c", script], LIMIT).await.unwrap();
        assert_eq!(done.exit_code, 3, "it went on without its output");
        eventually("nobody waits any more", async || !runs(&runtime, "kill -KILL").await).await;
        assert!(runs(&runtime, "sleep 4332").await, "it is the instance's now");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_instance_ends_is_told_so() {
    run(world::fixture().await, |fixture| async move {
        let (_stack, runtime) = up(&fixture).await;
        let lifecycle = fixture.provider.lifecycle();
        for starts_again in [true, false] {
            let long = exec(&fixture, &runtime, &["sleep", "4333"], LIMIT);
            let stop = async {
                eventually("it sleeps", async || runs(&runtime, "sleep 4333").await).await;
                lifecycle.stop(&runtime, GRACE).await.unwrap();
                if starts_again {
                    lifecycle.start(&runtime).await.unwrap();
                }
            };
            let error = tokio::join!(long, stop).0.unwrap_err();
            assert_eq!((error.code, error.outcome), (ErrorCode::WorkspaceStopped, Outcome::Unknown));
        }
        lifecycle.start(&runtime).await.unwrap();
        let killed = exec(&fixture, &runtime, &["sh", "-c", "kill -9 $$"], LIMIT).await.unwrap();
        assert_eq!(killed.exit_code, 137, "it is the command alone that ended");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_has_no_process_left_says_so_and_what_to_do() {
    run(world::fixture().await, |fixture| async move {
        let (_stack, runtime) = up(&fixture).await;
        let docker = World::new().await.docker;
        let allow = async |pids_limit| {
            let change = ContainerUpdateBody { pids_limit: Some(pids_limit), ..Default::default() };
            docker.update_container(&name(&runtime), change).await.unwrap();
        };
        let threads = TopOptionsBuilder::default().ps_args("-eLf").build();
        let all = docker.top_processes(&name(&runtime), Some(threads)).await.unwrap();
        let now = all.processes.unwrap().len() as i64;
        // None at all, and so few that the program is not reached.
        for more in 0..8 {
            allow(now + more).await;
            match exec(&fixture, &runtime, &["true"], LIMIT).await {
                Ok(done) => {
                    assert!(more > 0 && done.exit_code == 0, "{more}: {done:?}");
                    break;
                }
                Err(error) => {
                    assert_eq!(
                        (error.code, error.outcome.clone()),
                        (ErrorCode::InstanceFailed, Outcome::NothingHappened),
                        "{more}: {error}"
                    );
                    assert!(error.message.starts_with("true could not be begun"), "{more}: {error}");
                    assert!(error.action.unwrap().contains("`pilot ws restart NAME`"));
                }
            }
        }
        allow(2048).await;
        assert_eq!(exec(&fixture, &runtime, &["true"], LIMIT).await.unwrap().exit_code, 0);
        let folder = exec(&fixture, &runtime, &["/etc"], LIMIT).await.unwrap();
        assert_eq!(folder, Executed::new(126, "", "/etc: Permission denied\n"));
    })
    .await;
}
