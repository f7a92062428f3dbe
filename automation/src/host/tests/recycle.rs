//! Recycling: processes are replaced while they work, with nobody waiting for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::fake::{Fake, Step, done, eventually, place, say, up};
use crate::Host;
use crate::engine::{Command, Engine as _, Place};
use crate::options::Options;

/// What the second process does before it is ready: it waits until the test writes into `go`.
const SECOND_WAITS: &str = "[ $(wc -l < $(dirname $0)/began) = 2 ] && read line < $(dirname $0)/go";

/// After so many operations.
fn recycling(host: Host, operations: u32) -> Host {
    host.recycle_after(operations).with_launch(|launch| launch.recycle.pause = Duration::ZERO)
}

async fn quick_up(host: &Host, place: &Place) {
    let options = Options { timeout: Some(Duration::from_secs(10)), ..Options::default() };
    up(host, place, &options).await.unwrap();
}

fn is_gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

/// The file of [`SECOND_WAITS`].
fn gate(fake: &Fake) -> PathBuf {
    let go = fake.folder.path().join("go");
    assert!(std::process::Command::new("mkfifo").arg(&go).status().unwrap().success());
    go
}

#[tokio::test]
async fn a_process_is_recycled_while_a_run_in_it_goes_on_to_its_end() {
    let fake = Fake::new(|run| match run.id.as_str() {
        "1" => vec![Step::Cancelled { force: false }, say(json!({"stdout": "end"})), done()],
        _ => vec![done()],
    });
    let (host, place) = (recycling(fake.host("").await, 2), place());
    let cancel = CancellationToken::new();
    let options = Options { cancel: cancel.clone(), ..Options::default() };
    let running = {
        let (host, place) = (host.clone(), place.clone());
        tokio::spawn(async move { up(&host, &place, &options).await })
    };
    eventually("it runs", || fake.told.runs.lock().unwrap().len() == 1).await;
    let old = host.processes()[0];
    quick_up(&host, &place).await;
    quick_up(&host, &place).await;
    eventually("there is another process", || host.processes() != [old]).await;
    let new = host.processes();
    quick_up(&host, &place).await;
    assert_eq!((host.processes(), fake.began().len()), (new.clone(), 2));
    assert!(!running.is_finished() && !is_gone(old));
    cancel.cancel();
    assert_eq!(running.await.unwrap().unwrap().stdout, "end");
    eventually("the old process has ended", || is_gone(old)).await;
    assert_eq!((host.processes(), fake.began().len()), (new, 2));
}

#[tokio::test]
async fn nobody_waits_for_a_process_to_be_recycled() {
    let fake = Fake::new(|_| vec![done()]);
    let (host, place, go) = (recycling(fake.host(SECOND_WAITS).await, 1), place(), gate(&fake));
    quick_up(&host, &place).await;
    let old = host.processes();
    eventually("a replacement starts", || fake.began().len() == 2).await;
    for _ in 0..5 {
        quick_up(&host, &place).await;
        host.command(&place, &Command::new(["stack", "ls"])).await.unwrap();
    }
    assert_eq!((host.processes(), fake.began().len()), (old.clone(), 2));
    std::fs::write(go, "\n").unwrap();
    eventually("it has taken the place of the old one", || host.processes() != old).await;
    eventually("the old one has ended", || is_gone(old[0])).await;
    quick_up(&host, &place).await;
}

#[tokio::test]
async fn a_replacement_that_does_not_start_leaves_the_old_process_at_work() {
    let fake = Fake::new(|_| vec![done()]);
    let second_fails = "[ $(wc -l < $(dirname $0)/began) = 2 ] && exit 3";
    let (host, place) = (recycling(fake.host(second_fails).await, 1), place());
    quick_up(&host, &place).await;
    let old = host.processes();
    eventually("a replacement starts", || fake.began().len() == 2).await;
    // After the pause, the end of a run is the occasion for another one.
    while fake.began().len() == 2 {
        quick_up(&host, &place).await;
        assert_eq!(host.processes(), old);
    }
    eventually("the next one has taken its place", || host.processes() != old).await;
    eventually("the old one has ended", || is_gone(old[0])).await;
}

#[tokio::test]
async fn a_process_that_dies_while_it_is_recycled_is_replaced_by_the_one_that_is_on_its_way() {
    let fake = Fake::new(|_| vec![done()]);
    let (host, place, go) = (recycling(fake.host(SECOND_WAITS).await, 1), place(), gate(&fake));
    quick_up(&host, &place).await;
    let old = host.processes()[0];
    eventually("a replacement starts", || fake.began().len() == 2).await;
    let pid = rustix::process::Pid::from_raw(old as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    eventually("the death is known", || host.processes().is_empty()).await;
    let waiting = {
        let (host, place) = (host.clone(), place.clone());
        tokio::spawn(async move { quick_up(&host, &place).await })
    };
    std::fs::write(go, "\n").unwrap();
    waiting.await.unwrap();
    assert_eq!(fake.asked(), ["up", "up"]);
}

#[tokio::test]
async fn a_replacement_ends_when_its_host_is_dropped_before_it_is_ready() {
    let fake = Fake::new(|_| vec![done()]);
    let (host, go) = (recycling(fake.host(SECOND_WAITS).await, 1), gate(&fake));
    quick_up(&host, &place()).await;
    eventually("a replacement starts", || fake.began().len() == 2).await;
    drop(host);
    std::fs::write(go, "\n").unwrap();
    for began in fake.began() {
        let pid = began.split(' ').next().unwrap().parse().unwrap();
        eventually("the process is gone", || is_gone(pid)).await;
    }
}

#[tokio::test]
async fn only_operations_count_and_some_are_enough_when_the_process_is_large() {
    let fake = Fake::new(|_| vec![done()]);
    let host = fake.host("").await.with_launch(|launch| (launch.recycle.few, launch.recycle.memory) = (2, 0));
    let place = place();
    for _ in 0..5 {
        host.command(&place, &Command::new(["stack", "ls"])).await.unwrap();
    }
    quick_up(&host, &place).await;
    assert_eq!(fake.began().len(), 1);
    let old = host.processes();
    quick_up(&host, &place).await;
    if cfg!(target_os = "linux") {
        eventually("there is another process", || host.processes() != old).await;
    }
}
