//! Processes: when they start, are shared, die and end.

use std::time::{Duration, Instant};

use serde_json::json;

use super::super::wire::PROTOCOL;
use super::fake::{Fake, Step, done, eventually, place, say, up};
use crate::Host;
use crate::engine::{Command, Engine as _};
use crate::error::Error;
use crate::options::Options;

fn list() -> Command {
    Command::new(["stack", "ls"])
}

#[tokio::test]
async fn callers_who_come_together_share_one_start() {
    let fake = Fake::new(|_| vec![done()]);
    let (host, place, list) = (fake.host("sleep 0.2").await.with_runs(3).with_history(5), place(), list());
    let calls = (0..20).map(|_| host.command(&place, &list));
    futures_util::future::try_join_all(calls).await.unwrap();
    let began = fake.began();
    assert_eq!(began.len(), 1);
    assert!(began[0].ends_with("--parallel-runs 3 --history 5"), "{began:?}");
    assert_eq!(host.processes().len(), 1);
}

#[tokio::test]
async fn each_environment_has_a_process_of_its_own() {
    let fake = Fake::new(|_| vec![done()]);
    let (host, place) = (fake.host("env >> \"$(dirname $0)/env\"").await, place());
    let mut others = [place.clone(), place.clone(), place.clone()];
    others[0].env.insert("REGION".to_owned(), "east".to_owned());
    others[1].home = place.directory.clone();
    // It travels with the request.
    others[2].attached.insert("cloud".to_owned(), 1);
    for place in [&place, &others[0], &others[1], &others[2], &place] {
        host.command(place, &list()).await.unwrap();
    }
    let mut options = Options::default();
    options.debug.env.insert("RUN".to_owned(), "7".to_owned());
    up(&host, &place, &options).await.unwrap();
    assert_eq!(fake.began().len(), 4);
    let env = std::fs::read_to_string(fake.folder.path().join("env")).unwrap();
    assert_eq!((env.matches("REGION=east").count(), env.matches("RUN=7").count()), (1, 1));
    // Nothing is inherited, and what travels is not there.
    assert!(!env.contains("CARGO_") && !env.contains("PASSPHRASE") && !env.contains("BACKEND_URL"), "{env}");
}

#[tokio::test]
async fn a_death_fails_the_runs_in_it_and_their_stacks_are_recovered_first() {
    let fake = Fake::new(|run| match run.command.as_str() {
        "up" => vec![say(json!({"stdout": "working\n"})), Step::Die, Step::Hang],
        _ => vec![done()],
    });
    let (host, place) = (fake.host("").await, place());
    let error = up(&host, &place, &Options::default()).await.unwrap_err();
    assert!(matches!(error, Error::Interrupted { signal: 9 }), "{error:?}");
    host.command(&place, &Command::new(["stack", "export"]).stack("dev")).await.unwrap();
    assert_eq!(fake.asked(), ["up", "recover", "stack export"]);
    let recover = fake.told.runs.lock().unwrap()[1].clone();
    assert_eq!((recover.stack.as_deref(), recover.options.len()), (Some("dev"), 0));
    assert_eq!(fake.began().len(), 2);
}

#[tokio::test]
async fn a_stack_is_recovered_once_also_when_that_kills_the_host() {
    let fake = Fake::new(|run| match run.command.as_str() {
        "up" | "recover" => vec![Step::Die, Step::Hang],
        _ => vec![done()],
    });
    let (host, place) = (fake.host("").await, place());
    up(&host, &place, &Options::default()).await.unwrap_err();
    host.command(&place, &Command::new(["stack", "export"]).stack("dev")).await.unwrap();
    assert_eq!(fake.asked(), ["up", "recover", "stack export"]);
}

#[tokio::test]
async fn a_process_that_died_while_nobody_used_it_is_replaced_in_silence() {
    let fake = Fake::new(|_| vec![done()]);
    let (host, place) = (fake.host("").await, place());
    host.command(&place, &list()).await.unwrap();
    fake.told.kill();
    eventually("the death is known", || host.processes().is_empty()).await;
    host.command(&place, &list()).await.unwrap();
    assert_eq!((fake.began().len(), fake.asked()), (2, vec!["stack ls".to_owned(); 2]));
}

#[tokio::test]
async fn an_idle_process_ends_and_one_that_is_used_does_not() {
    let fake = Fake::new(|_| vec![Step::Cancelled { force: false }, done()]);
    let (host, place) = (fake.host("").await.with_idle_limit(Duration::from_millis(100)), place());
    let options = Options { timeout: Some(Duration::from_millis(600)), ..Options::default() };
    up(&host, &place, &options).await.unwrap();
    assert_eq!((fake.began().len(), host.processes().len()), (1, 1));
    eventually("the process has ended", || host.processes().is_empty()).await;
    up(&host, &place, &options).await.unwrap();
    assert_eq!(fake.began().len(), 2);
}

#[tokio::test]
async fn processes_end_with_the_last_copy_of_their_host() {
    let fake = Fake::new(|_| vec![done()]);
    let host = fake.host("").await;
    let copy = host.clone();
    host.command(&place(), &list()).await.unwrap();
    let pid = host.processes()[0];
    drop(host);
    assert_eq!(copy.processes(), [pid]);
    drop(copy);
    eventually("the process is gone", || !std::path::Path::new(&format!("/proc/{pid}")).exists()).await;
}

#[tokio::test]
async fn a_host_that_does_not_start_is_tried_with_pauses_and_told_in_its_own_words() {
    let fake = Fake::new(|_| vec![done()]);
    let (host, place) = (fake.host("echo 'no such engine' >&2; exit 3").await, place());
    let began = Instant::now();
    let list = list();
    let calls = (0..3).map(|_| host.command(&place, &list));
    for error in futures_util::future::join_all(calls).await {
        let error = error.unwrap_err();
        let Error::HostDown { message } = &error else { panic!("{error:?}") };
        assert!(message.contains("no such engine") && message.contains("exit status: 3"), "{message}");
    }
    assert!(began.elapsed() >= Duration::from_millis(100 + 200 + 400));
    // All of them have shared these.
    assert_eq!(fake.began().len(), 4);
    host.command(&place, &list).await.unwrap_err();
    assert_eq!(fake.began().len(), 5);
}

#[tokio::test]
async fn a_host_of_another_protocol_is_refused() {
    let fake = Fake::new(|_| vec![done()]);
    *fake.told.protocol.lock().unwrap() = PROTOCOL + 1;
    let error = fake.host("").await.command(&place(), &list()).await.unwrap_err();
    let Error::CliVersion { found, needed } = &error else { panic!("{error:?}") };
    assert!(found.contains("protocol 3") && needed.contains("protocol 2"), "{error}");
    assert_eq!(fake.began().len(), 1);
}

#[tokio::test]
async fn a_missing_host_and_a_program_that_is_none_are_typed_errors() {
    let error = Host::open("/nonexistent/pilot-engine").await.unwrap_err();
    assert!(matches!(error, Error::CliMissing { .. }), "{error:?}");
    let error = Host::open("echo").await.unwrap_err();
    assert!(matches!(error, Error::CliVersion { .. }), "{error:?}");
}
