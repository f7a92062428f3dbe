//! What the fake engine can be told to do, as the tests of whoever uses this crate tell it.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use pulumi_auto::event::Progress;
use pulumi_auto::fake::Call;
use pulumi_auto::{
    Command, EngineEvent, Error, EventKind, FakeEngine, OperationKind, Options, Outputs, Program,
    ResourceArgs, Stack, Workspace, program,
};
use tokio::sync::mpsc;

async fn stack(engine: &FakeEngine) -> Stack {
    let stack = Workspace::temporary(engine.clone(), "shop").unwrap().stack("dev");
    stack.create().await.unwrap();
    stack
}

/// Things one after the other.
fn things(names: &'static [&'static str]) -> Arc<dyn Program> {
    program(move |context| async move {
        for name in names {
            let (resource_type, name) = ("cloud:test:Thing".to_owned(), (*name).to_owned());
            context.register(ResourceArgs { resource_type, name, ..ResourceArgs::default() }).await?;
        }
        Ok(Outputs::new())
    })
}

fn within(limit: Duration) -> Options {
    Options::default().timeout(limit)
}

/// The names in the state, without the stack's own.
async fn made(stack: &Stack) -> Vec<String> {
    let state = serde_json::to_value(stack.export().await.unwrap()).unwrap();
    let resources = state["deployment"]["resources"].as_array().cloned().unwrap_or_default();
    let urns = resources.iter().map(|resource| resource["urn"].as_str().unwrap().to_owned());
    let names = urns.filter(|urn| !urn.contains("pulumi:pulumi:Stack"));
    names.map(|urn| urn.rsplit("::").next().unwrap().to_owned()).collect()
}

fn told() -> EventKind {
    let mut progress = Progress::default();
    progress.id = "told".to_owned();
    EventKind::Progress(progress)
}

#[tokio::test]
async fn a_lost_step_is_a_failure_of_which_nobody_knows_what_it_did() {
    let engine = FakeEngine::new();
    let stack = stack(&engine).await;
    for (lost, words) in [(true, "the line went dead"), (false, "quota used up")] {
        match lost {
            true => engine.lose("b", words),
            false => engine.fail("b", words),
        }
        let error = stack.up(things(&["a", "b", "c"])).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        let Error::UpdateFailed { failed_operations, .. } = error else { panic!("{error:?}") };
        assert_eq!(failed_operations.len(), 1);
        assert!(failed_operations[0].urn.ends_with("::b"), "{failed_operations:?}");
        assert_eq!(
            (failed_operations[0].op.as_str(), failed_operations[0].outcome_unknown),
            ("create", lost)
        );
        assert_eq!(made(&stack).await, ["a"]);
    }
    // Each script is for one step.
    stack.up(things(&["a", "b", "c"])).await.unwrap();
    engine.lose("c", "the line went dead");
    let error = stack.destroy(things(&[])).await.unwrap_err();
    let Error::UpdateFailed { failed_operations, .. } = error else { panic!("{error:?}") };
    assert_eq!((failed_operations[0].op.as_str(), failed_operations[0].outcome_unknown), ("delete", true));
    assert_eq!(made(&stack).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_delayed_step_takes_its_time_and_no_more_than_the_operation_has() {
    let engine = FakeEngine::new();
    let stack = stack(&engine).await;
    let (short, began) = (Duration::from_millis(200), Instant::now());
    engine.delay("a", short);
    stack.up(things(&["a"])).await.unwrap();
    assert!(began.elapsed() >= short);

    engine.delay("b", Duration::from_secs(3600));
    let error = stack.up(things(&["a", "b"])).with(&within(short)).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { timeout } if timeout == short), "{error:?}");
    assert_eq!(made(&stack).await, ["a"]);
}

#[tokio::test]
async fn the_limit_is_for_the_whole_operation_and_not_for_each_step() {
    let engine = FakeEngine::new();
    let stack = stack(&engine).await;
    let names = &["a", "b", "c", "d", "e", "f", "g", "h"];
    names.iter().for_each(|name| engine.delay(name, Duration::from_millis(200)));
    let limit = Duration::from_millis(600);
    let error = stack.up(things(names)).with(&within(limit)).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn a_held_step_waits_until_it_is_released_or_its_holder_is_gone() {
    let engine = FakeEngine::new();
    let stack = stack(&engine).await;
    for released in [true, false] {
        let held = engine.hold("a");
        let running = tokio::spawn({
            let stack = stack.clone();
            async move { stack.up(things(&["a"])).await }
        });
        held.reached().await;
        assert!(!running.is_finished());
        match released {
            true => held.release(),
            false => drop(held),
        }
        running.await.unwrap().unwrap();
        stack.destroy(things(&[])).await.unwrap();
    }
}

#[tokio::test]
async fn an_operation_can_end_with_any_error_after_any_events() {
    let engine = FakeEngine::new();
    let stack = stack(&engine).await;
    engine.end_with(OperationKind::Refresh, vec![told(), told()], Error::Interrupted { signal: 9 });
    let (events, mut heard) = mpsc::channel::<EngineEvent>(4096);
    let options = Options::default().events(events);
    // An operation of another kind does not use it up.
    stack.up(things(&["a"])).await.unwrap();
    let error = stack.refresh(things(&[])).with(&options).await.unwrap_err();
    assert!(matches!(error, Error::Interrupted { signal: 9 }), "{error:?}");
    let mut sequences = Vec::new();
    while let Ok(event) = heard.try_recv() {
        assert!(matches!(&event.kind, EventKind::Progress(progress) if progress.id == "told"), "{event:?}");
        sequences.push(event.sequence);
    }
    assert_eq!(sequences, [1, 2]);
    stack.refresh(things(&[])).with(&options).await.unwrap();
}

#[tokio::test]
async fn events_that_are_added_come_first_and_count_on() {
    let engine = FakeEngine::new();
    let stack = stack(&engine).await;
    engine.emit(OperationKind::Up, vec![told(), told()]);
    let (events, mut heard) = mpsc::channel::<EngineEvent>(4096);
    let options = Options::default().events(events);
    let update = stack.up(things(&["a"])).with(&options).await.unwrap();
    assert_eq!(update.summary.changes["create"], 2, "the stack and a");
    let mut seen = Vec::new();
    while let Ok(event) = heard.try_recv() {
        seen.push(event);
    }
    let sequences: Vec<i64> = seen.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (1..=seen.len() as i64).collect::<Vec<_>>());
    assert!(seen[..2].iter().all(|event| matches!(event.kind, EventKind::Progress(_))), "{seen:?}");
    assert!(matches!(seen[2].kind, EventKind::Prelude(_)), "{seen:?}");
}

#[tokio::test]
async fn everything_that_was_asked_is_remembered_in_order() {
    let engine = FakeEngine::new();
    let stack = stack(&engine).await;
    stack.preview(things(&["a"])).await.unwrap();
    stack.up(things(&["a"])).await.unwrap();
    stack.workspace().command(&Command::new(["stack", "ls"])).await.unwrap();
    let calls = engine.calls();
    let [Call::Command(create), preview, up, Call::Command(list)] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((create.name().as_str(), create.about()), ("stack init", "dev"));
    let operation = |kind| Call::Operation { kind, stack: "dev".to_owned() };
    assert_eq!((preview, up), (&operation(OperationKind::Preview), &operation(OperationKind::Up)));
    assert_eq!(list.name(), "stack ls");
}

/// What a subscriber prints.
#[derive(Clone, Default)]
struct Printed(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Printed {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_operation_is_a_span_with_its_stack_its_kind_and_what_came_of_it() {
    let printed = Printed::default();
    let writer = printed.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
        .finish();
    let _default = tracing::subscriber::set_default(subscriber);
    let engine = FakeEngine::new();
    let stack = stack(&engine).await;
    stack.up(things(&["a"])).await.unwrap();
    engine.fail("b", "the disk is full");
    stack.up(things(&["b"])).await.unwrap_err();
    let cancelled = Options::default();
    cancelled.cancel.cancel();
    stack.preview(things(&["a"])).with(&cancelled).await.unwrap_err();
    let text = String::from_utf8(printed.0.lock().unwrap().clone()).unwrap();
    for span in [
        r#"operation{stack="dev" kind=Up outcome="done"}"#,
        r#"operation{stack="dev" kind=Up outcome="failed"}"#,
        r#"operation{stack="dev" kind=Preview outcome="canceled"}"#,
    ] {
        assert!(text.contains(span), "{span} is not in {text}");
    }
}

#[tokio::test]
async fn a_request_runs_when_it_is_awaited_as_it_was_told_last() {
    let engine = FakeEngine::new();
    let stack = Workspace::temporary(engine.clone(), "shop").unwrap().stack("dev");
    stack.create().await.unwrap();
    let kept = Options::default().message("kept").parallel(2);
    let told = stack.up(things(&["a"])).message("before").with(&kept).target("urn:a").target("urn:b");
    let said = format!("{told:?}");
    assert!(said.contains("parallel: Some(2)") && said.contains(r#"["urn:a", "urn:b"]"#), "{said}");
    let operations =
        || engine.calls().into_iter().filter(|call| matches!(call, Call::Operation { .. })).count();
    assert_eq!(operations(), 0);
    // It borrows nothing, so that a task can have it.
    tokio::spawn(told.into_future()).await.unwrap().unwrap();
    assert_eq!((operations(), stack.last_update().await.unwrap().unwrap().message.as_str()), (1, "kept"));
    let update = stack.up(things(&["a"])).message("told").await.unwrap();
    let info = update.info().await.unwrap().unwrap();
    assert_eq!(
        (info.kind.as_str(), info.message.as_str(), info.result.as_deref()),
        ("update", "told", Some("succeeded"))
    );
    stack.destroy(things(&[])).options(kept).message("last").await.unwrap();
    assert_eq!(stack.last_update().await.unwrap().unwrap().message, "last");
}
