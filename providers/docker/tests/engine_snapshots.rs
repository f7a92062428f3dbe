//! What only Docker has of snapshots: the container that copies, and what is left when it ends in the middle.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::process::Command;
use std::time::Duration;

use provider_api::conformance::{Fixture, Stack, eventually, run};
use provider_api::{RunStatus, RuntimeRef, RuntimeSpec, Source, Take};
use provider_docker::conformance as world;

const LIMIT: Duration = Duration::from_secs(20);

async fn exec(fixture: &Fixture, runtime: &RuntimeRef, script: &str) -> String {
    let words = ["sh", "-c", script].map(str::to_owned);
    let done = fixture.provider.exec().unwrap().exec(runtime, &words, LIMIT).await.unwrap();
    assert_eq!(done.exit_code, 0, "{script}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

async fn up(fixture: &Fixture) -> (Stack, RuntimeRef) {
    let mut stack = fixture.stack();
    stack.up().await;
    let runtime = stack.runtime();
    (stack, runtime)
}

/// The script in a container of its own, with what comes before it; its exit code, and what it and the words after it say.
fn script(options: &[&str], before: &str, way: &str, after: &str) -> (i32, String) {
    let all = format!("{before}\nset +e\nsh -c \"$SCRIPT\" copy {way}\ncode=$?\n{after}\nexit $code");
    let output = Command::new("docker")
        .args(["run", "--rm", "--network", "none", "--user", "0:0", "--env", "HOME=/home/pilot"])
        .args([
            "--env",
            &format!("SCRIPT={}{}", provider_kit::secrets::LEAVE_OUT, include_str!("../src/copy.sh")),
        ])
        .args(options)
        .args(["--entrypoint", "sh", world::IMAGE, "-ec", &all])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().unwrap_or(-1), said + &String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_of_one_moment_while_something_writes() {
    run(world::fixture().await, |fixture| async move {
        let (stack, runtime) = up(&fixture).await;
        // A round of the writer takes milliseconds, and the copy much longer: each place would be of another round.
        let fill = "for n in $(seq 20); do mkdir place-$n; head -c 12M /dev/urandom > place-$n/large; echo 0 > place-$n/n; done";
        exec(&fixture, &runtime, fill).await;
        let write = "n=0; while :; do n=$((n+1)); for place in place-*; do echo $n > $place/n; done; done";
        exec(&fixture, &runtime, &format!("({write}) > /dev/null 2>&1 &")).await;
        fixture.provider.snapshots().unwrap().take(&runtime, &Take::of("moment")).await.unwrap();
        let numbers = async |of: &RuntimeRef| -> Vec<u64> {
            let said = exec(&fixture, of, "cat place-*/n").await;
            said.lines().map(|number| number.parse().unwrap()).collect()
        };
        let (before, source) = (numbers(&runtime).await, stack.spec.runtime_id.clone());
        let source = Some(Source { runtime_id: source, snapshot: "moment".to_owned() });
        let mut fork =
            Stack::new(fixture.provider.clone(), RuntimeSpec { source, ..fixture.stack().spec.clone() });
        fork.up().await;
        let copied = numbers(&fork.runtime()).await;
        // One may be empty, for the moment between its opening and its line.
        assert!(copied.len() >= 19, "{copied:?}");
        let (least, most) = (copied.iter().min().unwrap(), copied.iter().max().unwrap());
        assert!(most - least <= 1, "of more than one round: {copied:?}");
        eventually("the original to write on", async || numbers(&runtime).await.iter().max() > before.iter().max()).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_nobody_waits_for_leaves_nothing_and_what_ran_goes_on() {
    run(world::fixture().await, |fixture| async move {
        let (_stack, runtime) = up(&fixture).await;
        exec(&fixture, &runtime, "head -c 400M /dev/zero > large").await;
        let before = fixture.owned().await;
        let (snapshots, lifecycle) = (fixture.provider.snapshots().unwrap(), fixture.provider.lifecycle());
        let take = tokio::spawn({
            let (snapshots, runtime) = (snapshots.clone(), runtime.clone());
            async move { snapshots.take(&runtime, &Take::of("given-up")).await }
        });
        eventually("the copy to begin", async || {
            lifecycle.status(&runtime).await.unwrap() == RunStatus::Suspended
        })
        .await;
        take.abort();
        eventually("it to go on", async || lifecycle.status(&runtime).await.unwrap() == RunStatus::Running)
            .await;
        eventually("nothing to be left", async || fixture.owned().await == before).await;
        assert_eq!(snapshots.list(&runtime).await.unwrap(), []);
    })
    .await;
}

/// Deeper than a system call can name, as a loop of a program makes it.
const DEEP: &str = r#"perl -e 'chdir $ARGV[0] or die; mkdir("d" x 200) && chdir("d" x 200) or die for 1..25; open(F, ">f") or die' "#;

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_too_long_to_be_copied_is_named_before_a_take_and_before_a_restore() {
    run(world::fixture().await, |fixture| async move {
        let (_stack, runtime) = up(&fixture).await;
        let (snapshots, lifecycle) = (fixture.provider.snapshots().unwrap(), fixture.provider.lifecycle());
        snapshots.take(&runtime, &Take::of("then")).await.unwrap();
        exec(&fixture, &runtime, &format!("{DEEP} $HOME")).await;
        let told = [
            snapshots.take(&runtime, &Take::of("now")).await.map(drop).unwrap_err(),
            snapshots.has_room(&runtime, "then").await.unwrap_err(),
        ];
        for error in told {
            assert!(
                error.message.contains("too long to be copied: it has 4220 bytes")
                    && error.message.contains("ddd"),
                "{error}"
            );
            assert!(error.message.len() < 400 && error.action.is_some(), "{error}");
        }
        assert_eq!(lifecycle.status(&runtime).await.unwrap(), RunStatus::Running);
        assert_eq!(snapshots.list(&runtime).await.unwrap().len(), 1);
        exec(&fixture, &runtime, "rm -rf $HOME/ddd*").await;
        snapshots.take(&runtime, &Take::of("now")).await.unwrap();
        snapshots.has_room(&runtime, "then").await.unwrap();
    })
    .await;
}

#[test]
fn room_for_a_restore_is_for_both_copies_where_they_are_on_one_disk_and_for_one_where_volumes_are_limited() {
    let small = ["--tmpfs", "/home/pilot:size=48m,exec", "--tmpfs", "/from:size=48m"];
    let before = "head -c 12M /dev/urandom > /from/then; head -c 20M /dev/urandom > $HOME/now";
    let (code, said) = script(&small, before, "room", "ls -A $HOME");
    let full = said.lines().find_map(|line| line.strip_prefix("full ")).unwrap_or_else(|| panic!("{said}"));
    let numbers: Vec<u64> = full.split(' ').map(|number| number.parse().unwrap()).collect();
    assert_eq!((code, numbers[0] >> 10, numbers[1] >> 10), (3, 32, 28), "{said}");
    assert!(said.ends_with("\nnow\n"), "nothing was written: {said}");
    assert_eq!(script(&small, before, "room limited", "").0, 0);
}

#[test]
fn a_copy_that_has_no_room_says_what_it_needs_and_a_home_without_it_stays() {
    let small = ["--tmpfs", "/home/pilot:size=8m,exec", "--tmpfs", "/from:size=64m"];
    let before = "head -c 20M /dev/urandom > /from/large; echo mine > $HOME/kept";
    let (code, said) = script(&small, before, "fill", "cat $HOME/kept");
    assert_eq!(code, 3, "{said}");
    let full = said.lines().find_map(|line| line.strip_prefix("full ")).unwrap_or_else(|| panic!("{said}"));
    let numbers: Vec<u64> = full.split(' ').map(|number| number.parse().unwrap()).collect();
    assert!(numbers[0] >= 20 * 1024 && numbers[1] <= 8 * 1024, "{said}");
    assert!(said.ends_with("mine\n"), "{said}");
}

/// Where a process can have been cut off in a restore, and what there is then.
#[test]
fn a_restore_that_was_cut_off_anywhere_ends_with_the_files_of_then_and_no_others() {
    let options = ["--tmpfs", "/home/pilot:size=32m,exec", "--tmpfs", "/from:size=32m"];
    let before = "echo then > /from/kept; mkdir -p /from/.hidden/deep; echo then > '/from/.hidden/deep/a b'; ln -s kept /from/link
         cd $HOME; echo now > kept; echo now > new; mkdir .hidden; echo now > .hidden/now
         sh -c \"$SCRIPT\" copy fill > /dev/null";
    let aside = "$HOME/.pilot-restore";
    let cut_off = [
        String::new(),
        // Going out.
        format!("mv kept {aside}/old/"),
        format!("mv kept new .hidden {aside}/old/"),
        // Coming in.
        format!("mv kept new .hidden {aside}/old/; : > {aside}/in"),
        format!("mv kept new .hidden {aside}/old/; : > {aside}/in; mv {aside}/new/kept $HOME"),
        format!(
            "mv kept new .hidden {aside}/old/; : > {aside}/in; mv {aside}/new/* {aside}/new/.hidden $HOME"
        ),
        // Clearing away.
        format!(
            "mv kept new .hidden {aside}/old/; : > {aside}/in; mv {aside}/new/* {aside}/new/.hidden $HOME; rmdir {aside}/new"
        ),
    ];
    for so_far in cut_off {
        let (code, said) = script(
            &options,
            &format!("{before}\n{so_far}"),
            "swap",
            "cd $HOME; find . -mindepth 1 | sort; cat kept link .hidden/deep/*",
        );
        assert_eq!(code, 0, "{so_far}: {said}");
        let seen: Vec<&str> = said.lines().filter(|line| !line.starts_with("copied ")).collect();
        let expected =
            ["./.hidden", "./.hidden/deep", "./.hidden/deep/a b", "./kept", "./link", "then", "then", "then"];
        assert_eq!(seen, expected, "{so_far}");
    }
}
