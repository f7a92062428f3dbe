//! A program written with `pulumi_gestalt_rust`, with code that gestalt generated, as a child process.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../tests/support/support.rs"]
mod support;

use pulumi_auto::{ChildProgram, Error, EventKind, Options, Value};
use support::world::World;

fn example() -> ChildProgram {
    ChildProgram::new(env!("CARGO_BIN_EXE_gestalt-example"))
}

#[tokio::test]
async fn a_gestalt_program_is_previewed_applied_and_destroyed_like_any_other() {
    let world = World::new().await;
    let stack = world.stack("gestalt").await;
    let plan = stack.preview(example()).await.unwrap();
    assert_eq!(plan.changes["create"], 3);
    let update = stack.up(example()).await.unwrap();
    assert_eq!(update.outputs["both"], Value::from("address-of-first, address-of-first"));
    let state = world.state(&stack);
    assert_eq!(state.of("second")["inputs"]["label"], "address-of-first");
    assert_eq!(state.of("second")["inputs"]["size"], 2.0);
    let again = stack.up(example()).await.unwrap();
    assert!(again.summary.is_unchanged(), "{:?}", again.summary);
    stack.destroy(example()).await.unwrap();
    assert_eq!(world.cloud.ids(), Vec::<String>::new());
}

#[tokio::test]
async fn a_child_that_fails_is_told_by_its_last_words_and_its_output_is_shown() {
    let world = World::new().await;
    let stack = world.stack("child").await;
    let script = "echo working; echo no such region >&2; exit 3";
    let child = ChildProgram::new("/bin/sh").args(["-c", script]);
    let (events, mut seen) = tokio::sync::mpsc::channel(4096);
    let options = Options::default().events(events);
    let error = stack.up(child).with(&options).await.unwrap_err();
    let Error::Program { message } = &error else { panic!("{error:?}") };
    assert!(message.contains("no such region") && message.contains("exit status: 3"), "{message}");
    drop(options);
    let mut lines = Vec::new();
    while let Some(event) = seen.recv().await {
        if let EventKind::Diagnostic(diagnostic) = event.kind {
            lines.push(diagnostic.message.trim().to_owned());
        }
    }
    assert!(lines.iter().any(|line| line.contains("working")), "{lines:?}");
    let missing = ChildProgram::new("/nowhere/program");
    let error = stack.up(missing).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/program does not start"), "{error}");
}
