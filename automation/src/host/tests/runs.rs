//! Runs: what is sent, what comes back, and what ends them.

use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::fake::{Fake, Step, done, eventually, place, say, up};
use crate::engine::{Backend, Command, Engine as _};
use crate::error::Error;
use crate::event::EventKind;
use crate::options::{Options, Printed, Remote};

fn short() -> Options {
    Options { timeout: Some(Duration::from_millis(300)), ..Options::default() }
}

#[tokio::test]
async fn a_command_sends_its_words_and_its_input_and_returns_what_is_printed() {
    let fake = Fake::new(|_| vec![say(json!({"stdout": "a\n"})), say(json!({"stdout": "b\n"})), done()]);
    let host = fake.host("").await;
    assert_eq!(host.version(), "v3.276.0");
    let mut place = place();
    place.attached.insert("cloud".to_owned(), 14999);
    let command =
        Command::new(["config", "set"]).stack("dev").flag("secret", true).arg("token").input("hush");
    assert_eq!(host.command(&place, &command).await.unwrap(), "a\nb\n");
    let run = fake.told.runs.lock().unwrap()[0].clone();
    assert_eq!((run.command.as_str(), run.stack.as_deref()), ("config set", Some("dev")));
    assert_eq!((json!(run.options), run.arguments), (json!({"secret": true}), vec!["token".to_owned()]));
    assert_eq!((run.input.as_deref(), run.place.attached["cloud"]), (Some("hush"), 14999));
    assert_eq!(run.place.backend, place.backend.url());
}

#[tokio::test]
async fn events_and_what_is_printed_arrive_while_the_run_goes_on() {
    let event =
        json!({"event": {"sequence": 1, "timestamp": 2, "stdoutEvent": {"message": "hello", "color": ""}}});
    let fake = Fake::new(move |_| {
        let printed = say(json!({"stdout": "line\n"}));
        vec![say(event.clone()), printed, Step::Cancelled { force: false }, done()]
    });
    let (host, place) = (fake.host("").await, place());
    let ((events, mut heard), (output, mut printed)) = (mpsc::channel(4096), mpsc::channel(4096));
    let cancel = CancellationToken::new();
    let options =
        Options { events: Some(events), output: Some(output), cancel: cancel.clone(), ..Options::default() };
    let running = tokio::spawn(async move { up(&host, &place, &options).await });
    let event = heard.recv().await.unwrap();
    assert!(matches!(&event.kind, EventKind::Stdout(message) if message.message == "hello"), "{event:?}");
    assert_eq!(printed.recv().await.unwrap(), Printed::Stdout("line\n".to_owned()));
    cancel.cancel();
    // It was over before the cancellation changed anything.
    assert_eq!(running.await.unwrap().unwrap().stdout, "line\n");
}

#[tokio::test]
async fn a_listener_that_does_not_listen_gets_what_its_queue_holds() {
    let event = |number: u32| {
        say(json!({"event": {"sequence": number, "timestamp": 2, "stdoutEvent": {"message": "x"}}}))
    };
    let fake = Fake::new(move |_| {
        let lines = (1..=500).flat_map(|number| [event(number), say(json!({"stdout": "line\n"}))]);
        lines.chain([done()]).collect()
    });
    let ((events, mut heard), (output, mut printed)) = (mpsc::channel(3), mpsc::channel(2));
    let options = Options { events: Some(events), output: Some(output), ..Options::default() };
    let finished = up(&fake.host("").await, &place(), &options).await.unwrap();
    assert_eq!(finished.stdout.lines().count(), 500, "the result has all of it");
    let kept: Vec<i64> = std::iter::from_fn(|| heard.try_recv().ok()).map(|event| event.sequence).collect();
    assert_eq!(kept, [1, 2, 3]);
    assert_eq!(std::iter::from_fn(|| printed.try_recv().ok()).count(), 2);
}

#[tokio::test]
async fn a_line_may_be_larger_than_any_buffer() {
    let long = "x".repeat(6 << 20);
    let fake = Fake::new(move |_| vec![say(json!({"stdout": long})), say(json!({"stdout": "end"})), done()]);
    let printed = fake.host("").await.command(&place(), &Command::new(["stack", "export"])).await.unwrap();
    assert_eq!((printed.len(), &printed[printed.len() - 3..]), ((6 << 20) + 3, "end"));
}

#[tokio::test]
async fn a_line_that_is_none_of_the_protocol_ends_the_run_with_an_error() {
    for garbage in ["{\"stdout\":\"a\"", "canary-22", "{\"novel\":1}", "[]"] {
        let fake = Fake::new(move |_| vec![Step::Say(format!("{garbage}\n")), Step::Hang]);
        let error = fake.host("").await.command(&place(), &Command::new(["stack", "ls"])).await.unwrap_err();
        assert!(matches!(&error, Error::Output { command, .. } if command == "stack ls"), "{error:?}");
        assert!(!error.to_string().contains("canary"), "{error}");
        eventually("the connection is closed", || fake.told.closed.lock().unwrap().len() == 1).await;
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_an_error() {
    let fake = Fake::new(|_| vec![say(json!({"stdout": "a"}))]);
    let error = fake.host("").await.command(&place(), &Command::new(["stack", "ls"])).await.unwrap_err();
    assert!(matches!(&error, Error::EngineBug { .. }), "{error:?}");
}

#[tokio::test]
async fn a_cancelled_run_is_ended_in_order_and_then_by_force() {
    for force in [false, true] {
        let ended = json!({"ended": {"code": 8, "fault": {"kind": "canceled", "message": "cancelled"}}});
        let fake = Fake::new(move |_| vec![Step::Cancelled { force }, say(ended.clone())]);
        let mut host = fake.host("").await;
        host = host.with_launch(|launch| launch.grace = Duration::from_millis(200));
        let (options, place) = (Options::default(), place());
        let cancel = options.cancel.clone();
        let running = tokio::spawn(async move { up(&host, &place, &options).await });
        eventually("it runs", || fake.told.runs.lock().unwrap().len() == 1).await;
        cancel.cancel();
        let error = running.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Canceled), "{error:?}");
        let cancels = fake.told.cancels.lock().unwrap();
        let forced: Vec<_> = cancels.iter().map(|cancel| cancel.force).collect();
        assert_eq!(forced, if force { vec![false, true] } else { vec![false] });
    }
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_ended_in_order() {
    let ended = json!({"ended": {"code": 8, "fault": {"kind": "canceled", "message": "cancelled"}}});
    let fake = Fake::new(move |_| vec![Step::Cancelled { force: false }, say(ended.clone())]);
    let (host, place) = (fake.host("").await, place());
    let error = up(&host, &place, &short()).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { timeout } if Some(timeout) == short().timeout), "{error:?}");
    let mut place = place;
    place.timeout = Some(Duration::from_millis(100));
    let error = host.command(&place, &Command::new(["stack", "ls"])).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { timeout } if Some(timeout) == place.timeout), "{error:?}");
}

#[tokio::test]
async fn a_success_within_the_grace_is_a_success() {
    let printed = say(json!({"stdout": "done\n"}));
    let fake = Fake::new(move |_| vec![Step::Cancelled { force: false }, printed.clone(), done()]);
    assert_eq!(up(&fake.host("").await, &place(), &short()).await.unwrap().stdout, "done\n");
}

#[tokio::test]
async fn a_run_that_does_not_end_at_all_costs_its_process() {
    let fake = Fake::new(|run| if run.command == "up" { vec![Step::Hang] } else { vec![done()] });
    let mut host = fake.host("").await;
    host = host.with_launch(|launch| {
        (launch.grace, launch.last) = (Duration::from_millis(100), Duration::from_millis(100));
    });
    let place = place();
    let error = up(&host, &place, &short()).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    host.command(&place, &Command::new(["stack", "ls"])).await.unwrap();
    assert_eq!(fake.began().len(), 2);
}

#[tokio::test]
async fn a_dropped_run_closes_its_connection() {
    let fake = Fake::new(|_| vec![Step::Hang]);
    let (host, place) = (fake.host("").await, place());
    let keep = host.clone();
    let running = tokio::spawn(async move { up(&host, &place, &Options::default()).await });
    eventually("it runs", || fake.told.runs.lock().unwrap().len() == 1).await;
    running.abort();
    eventually("its connection is closed", || *fake.told.closed.lock().unwrap() == ["1"]).await;
    assert_eq!(keep.processes().len(), 1);
}

#[tokio::test]
async fn what_the_host_does_not_do_needs_the_cli() {
    let why = "it does not know `plugin ls`";
    let fault = json!({"kind": "needs_cli", "message": why});
    let fake = Fake::new(move |_| vec![say(json!({"ended": {"code": 255, "fault": fault}}))]);
    let (host, mut place) = (fake.host("").await, place());
    let error = host.command(&place, &Command::new(["plugin", "ls"])).await.unwrap_err();
    assert!(
        matches!(&error, Error::NeedsCli { command, reason } if command == "plugin ls" && reason == why),
        "{error:?}"
    );
    assert_eq!(fake.asked(), ["plugin ls"]);
    // Nobody says yes, so that the CLI refuses it: the host would do it.
    let error = host.command(&place, &Command::new(["destroy"]).stack("dev")).await.unwrap_err();
    assert!(matches!(&error, Error::NeedsCli { command, .. } if command == "destroy"), "{error:?}");
    let options = Options { remote: Some(Remote::default()), ..Options::default() };
    let error = up(&host, &place, &options).await.unwrap_err();
    assert!(matches!(error, Error::NeedsCli { .. }), "{error:?}");
    place.backend = Backend::Url("https://api.pulumi.com".to_owned());
    let error = host.command(&place, &Command::new(["stack", "ls"])).await.unwrap_err();
    assert!(matches!(error, Error::NeedsCli { .. }), "{error:?}");
    assert_eq!(fake.asked().len(), 1, "what a request cannot say is not sent");
}

#[tokio::test]
async fn options_that_an_operation_does_not_know_are_refused_before_anything_starts() {
    let fake = Fake::new(|_| vec![done()]);
    let options = Options { remove: true, ..Options::default() };
    let error = up(&fake.host("").await, &place(), &options).await.unwrap_err();
    assert!(matches!(error, Error::Option { option: "remove", .. }), "{error:?}");
    assert_eq!(fake.began(), Vec::<String>::new());
}
