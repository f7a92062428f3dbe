//! Commands in an instance: what they are given, and what ends them.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

#[path = "support/world.rs"]
mod world;

use std::time::{Duration, Instant};

use contracts::ErrorCode;
use provider_api::conformance::{Fixture, Stack, eventually, run};
use provider_api::{Captured, Executed, Outcome, Result};
use provider_local::conformance::labelled;
use world::world;

const LIMIT: Duration = Duration::from_secs(30);

async fn sh(fixture: &Fixture, stack: &Stack, script: &str, limit: Duration) -> Result<Executed> {
    let command = ["sh", "-c", script].map(str::to_owned);
    fixture.provider.exec().unwrap().exec(&stack.runtime(), &command, limit).await
}

fn text(captured: &Captured) -> String {
    String::from_utf8_lossy(captured).trim_end().to_owned()
}

/// Processes of the runtime that sleep for so many seconds.
fn sleepers(stack: &Stack, seconds: &str) -> usize {
    let runtime = stack.runtime();
    let all = labelled(&runtime.installation, Some(&runtime.runtime_id));
    let argument = format!("\0{seconds}\0");
    let sleeps = |line: &[u8]| line.starts_with(b"sleep") && line.ends_with(argument.as_bytes());
    all.iter().filter(|(_, line)| sleeps(line)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_the_instances_home_and_environment_and_nothing_of_pilots() {
    let world = world();
    let root = world.config().root;
    run(world.fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let home = root.join(stack.spec.runtime_id.as_str()).join("home").display().to_string();
        let done = sh(&fixture, &stack, "pwd; echo $HOME; env | grep -c CARGO; cat", LIMIT).await.unwrap();
        assert_eq!(text(&done.stdout), format!("{home}\n{home}\n0"), "the input is empty, too");
        let absent = ["no-such-program".to_owned()];
        let absent = fixture.provider.exec().unwrap().exec(&stack.runtime(), &absent, LIMIT).await.unwrap();
        assert_eq!(absent.exit_code, 127);
        assert_eq!(text(&absent.stderr), "no-such-program: not found");
        let folder = sh(&fixture, &stack, "exec /etc", LIMIT).await.unwrap();
        let direct = ["/etc".to_owned()];
        let direct = fixture.provider.exec().unwrap().exec(&stack.runtime(), &direct, LIMIT).await.unwrap();
        assert_eq!((folder.exit_code, direct.exit_code), (126, 126), "as a shell has it");
        assert_eq!(text(&direct.stderr), "/etc: Permission denied");
        let killed = sh(&fixture, &stack, "kill -9 $$", LIMIT).await.unwrap();
        assert_eq!(killed.exit_code, 128 + 9);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn much_output_is_cut_and_bytes_are_as_they_were() {
    run(world().fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let script = "printf '\\377\\000x' >&2; head -c 1048583 /dev/zero";
        let done = sh(&fixture, &stack, script, LIMIT).await.unwrap();
        assert_eq!((done.stdout.len(), done.stdout.dropped()), (Captured::MOST, 7));
        assert_eq!(&*done.stderr, b"\xff\0x");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_ends_the_whole_group_and_what_goes_on_in_the_background_is_not_waited_for() {
    run(world().fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        for (refuses, seconds) in [("", "4711"), ("trap '' TERM; ", "4710")] {
            let elsewhere = format!("setsid sleep {seconds} > /dev/null 2>&1 &");
            let script = format!("{refuses}{elsewhere} echo up; sleep {seconds} & sleep {seconds}; true");
            let late = sh(&fixture, &stack, &script, Duration::from_secs(1)).await.unwrap();
            assert_eq!(late, Executed::late("up\n", ""));
            eventually("the group is gone", async || sleepers(&stack, seconds) == 0).await;
        }

        let began = Instant::now();
        let done = sh(&fixture, &stack, "echo on; sleep 4712 &", LIMIT).await.unwrap();
        assert_eq!((text(&done.stdout).as_str(), done.exit_code), ("on", 0));
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        assert_eq!(sleepers(&stack, "4712"), 1, "it is the instance's now");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_with_its_instance_and_with_who_waits_for_it() {
    run(world().fixture(), |fixture| async move {
        let mut stack = fixture.stack();
        stack.up().await;
        let (gone, stopped) = tokio::join!(
            tokio::time::timeout(Duration::from_secs(1), sh(&fixture, &stack, "sleep 4713; true", LIMIT)),
            async {
                eventually("it sleeps", async || sleepers(&stack, "4713") == 1).await;
                eventually("nobody waits for it", async || sleepers(&stack, "4713") == 0).await;
                let long = sh(&fixture, &stack, "sleep 4714; true", Duration::from_secs(60));
                let stop = async {
                    eventually("it sleeps", async || sleepers(&stack, "4714") == 1).await;
                    fixture
                        .provider
                        .lifecycle()
                        .stop(&stack.runtime(), Duration::from_secs(5))
                        .await
                        .unwrap();
                };
                tokio::join!(long, stop).0
            }
        );
        assert!(gone.is_err());
        let ended = stopped.unwrap_err();
        assert_eq!((ended.code, ended.outcome), (ErrorCode::WorkspaceStopped, Outcome::Unknown));
        assert_eq!(sleepers(&stack, "4714"), 0);
    })
    .await;
}
