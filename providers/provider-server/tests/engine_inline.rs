//! Real Pulumi against a provider of these tests: the whole way from declarations to state and back.

// Clippy's leave for tests ends at functions that are not tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

// The helpers below are shared with the crate's own tests, which know it by its public name.
extern crate automation as pulumi_auto;

#[path = "engine/world.rs"]
mod world;

use std::time::Duration;

use automation::stack::RemoveOptions;
use automation::{Error, EventKind, Options, Value};
use provider_api::{Declaration, Declared, Expr};
use world::{World, normalized};

fn two_resources() -> Declared {
    let mut declared = Declared {
        resources: vec![
            Declaration::new("home", "pilot:test:Thing").input("label", "first"),
            Declaration::new("instance", "pilot:test:Thing")
                .input("label", "second")
                .input("after", Expr::output("home", "address"))
                .input("token", Expr::Secret(Box::new("canary-3f9".into()))),
        ],
        ..Declared::default()
    };
    declared.outputs.insert("address".to_owned(), Expr::output("instance", "address"));
    declared
}

#[tokio::test]
async fn a_stack_is_created_kept_and_destroyed_in_order() {
    let world = World::new().await;
    let stack = world.stack("rt-order").await;
    let (events, mut listener) = tokio::sync::mpsc::channel(4096);
    let options = Options::default().events(events);

    let update = stack.up(world.program("rt-order", two_resources())).with(&options).await.unwrap();
    assert_eq!(update.summary.changes["create"], 3);
    assert_eq!(update.outputs["address"], Value::from("address-of-second"));
    assert_eq!(world.cloud.log(), ["create first", "create second"]);
    let mut kinds = Vec::new();
    while let Ok(event) = listener.try_recv() {
        kinds.push(event.kind);
    }
    assert!(kinds.iter().any(|kind| matches!(kind, EventKind::ResourcePre(step) if step.name() == "home")));
    assert!(matches!(kinds.last(), Some(EventKind::Cancel)), "{kinds:?}");

    let again = stack.up(world.program("rt-order", two_resources())).await.unwrap();
    assert!(again.summary.is_unchanged(), "{:?}", again.summary);

    stack.destroy(world.program("rt-order", two_resources())).await.unwrap();
    assert_eq!(world.cloud.log()[2..], ["delete second", "delete first"]);
    let entirely = RemoveOptions::default().remove_backups(true).remove_leftovers(true);
    stack.remove_with(&entirely).await.unwrap();
    stack.remove_with(&entirely).await.unwrap();
    assert_eq!(world.state_files("rt-order"), Vec::<String>::new());
}

#[tokio::test]
async fn a_preview_plans_with_unknowns_and_touches_nothing() {
    let world = World::new().await;
    let stack = world.stack("rt-preview").await;
    let plan = stack.preview(world.program("rt-preview", two_resources())).await.unwrap();
    let names: Vec<_> = plan.steps.iter().map(|step| (step.op.as_str(), step.name())).collect();
    assert_eq!(names, [("create", "home"), ("create", "instance")]);
    assert_eq!(world.cloud.log(), Vec::<String>::new());
}

#[tokio::test]
async fn yaml_and_inline_of_one_stack_agree_in_plan_and_in_state() {
    let world = World::new().await;
    let inline = world.stack("rt-parity").await;
    inline.up(world.program("rt-parity", two_resources())).await.unwrap();
    let from_inline = inline.export().await.unwrap();

    let project = world.yaml_project("rt-parity", two_resources());
    let preview = world.pulumi(&project, &["preview", "--expect-no-changes", "--stack", "rt-parity"]).await;
    assert!(preview.status.success(), "{}", String::from_utf8_lossy(&preview.stdout));
    let up = world.pulumi(&project, &["up", "--yes", "--skip-preview", "--stack", "rt-parity"]).await;
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stdout));

    let from_yaml = inline.export().await.unwrap();
    pretty_eq(&normalized(from_inline.json()), &normalized(from_yaml.json()));
    let after = inline.preview(world.program("rt-parity", two_resources())).await.unwrap();
    assert!(after.is_unchanged(), "{:?}", after.changes);
}

fn with_mounts(mode: &str) -> Declared {
    let mount = Expr::object([
        ("target", Expr::output("home", "address")),
        ("mode", mode.into()),
        ("options", Expr::object([("depth", 2.into())])),
        ("key", "canary-7c1".into()),
    ]);
    let mut declared = Declared {
        resources: vec![
            Declaration::new("home", "pilot:test:Thing").input("label", "first"),
            Declaration::new("instance", "pilot:test:Thing")
                .input("label", "second")
                .input("mounts", Expr::List(vec![mount])),
        ],
        ..Declared::default()
    };
    declared.outputs.insert("mounts".to_owned(), Expr::output("instance", "mounts"));
    declared
}

#[tokio::test]
async fn values_inside_of_an_input_may_be_of_other_resources_and_secret_inline_and_in_yaml() {
    let world = World::new().await;
    let stack = world.stack("rt-nested").await;
    let plan = stack.preview(world.program("rt-nested", with_mounts("read-only"))).await.unwrap();
    assert_eq!(plan.changes["create"], 3);
    let update = stack.up(world.program("rt-nested", with_mounts("read-only"))).await.unwrap();
    let mounts = update.outputs["mounts"].reveal();
    assert_eq!(mounts[0]["target"], "address-of-first");
    assert_eq!(mounts[0]["options"]["depth"], 2);
    assert!(!world.grep_state("canary-7c1"), "the schema says that it is secret");
    assert_eq!(world.cloud.log(), ["create first", "create second"]);

    // Pulumi YAML holds the program against the schema with its types.
    let project = world.yaml_project("rt-nested", with_mounts("read-only"));
    let preview = world.pulumi(&project, &["preview", "--expect-no-changes", "--stack", "rt-nested"]).await;
    assert!(preview.status.success(), "{}", String::from_utf8_lossy(&preview.stdout));

    let changed = stack.up(world.program("rt-nested", with_mounts("read-write"))).await.unwrap();
    assert_eq!(changed.summary.changes.get("update"), Some(&1), "{:?}", changed.summary);
    let error = stack.up(world.program("rt-nested", with_mounts("write-only"))).await.unwrap_err();
    assert!(error.to_string().contains("mounts[0].mode"), "{error}");
    stack.destroy(world.program("rt-nested", with_mounts("read-write"))).await.unwrap();
}

#[tokio::test]
async fn sdks_have_the_types_that_properties_name() {
    let world = World::new().await;
    let folder = world.sdks().await;
    for (file, expected) in [
        ("nodejs/types/input.ts", "interface MountArgs {"),
        ("nodejs/types/enums/test/index.ts", "ReadOnly: \"read-only\""),
        ("python/pulumi_pilot/test/_inputs.py", "class MountArgs:"),
        ("go/test/pulumiTypes.go", "type MountArray []MountInput"),
        ("go/test/pulumiEnums.go", "ModeReadOnly"),
    ] {
        let text =
            std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(expected), "{file} has no {expected:?}");
    }
}

fn pretty_eq(left: &serde_json::Value, right: &serde_json::Value) {
    let text = |value| serde_json::to_string_pretty(value).unwrap();
    assert_eq!(text(left), text(right));
}

#[tokio::test]
async fn a_secret_is_in_no_file_of_the_state() {
    let world = World::new().await;
    let stack = world.stack("rt-secret").await;
    stack.up(world.program("rt-secret", two_resources())).await.unwrap();
    assert!(!world.grep_state("canary-3f9"));
    assert!(world.grep_state("ciphertext"));
}

#[tokio::test]
async fn a_providers_refusal_arrives_with_its_words_its_step_and_its_code() {
    let world = World::new().await;
    let stack = world.stack("rt-refused").await;
    let mut declared = two_resources();
    declared.resources[1] = Declaration::new("instance", "pilot:test:Thing").input("label", "refuse");
    declared.outputs.clear();
    let error = stack.up(world.program("rt-refused", declared)).await.unwrap_err();
    let Error::UpdateFailed { failed_operations, .. } = &error else { panic!("{error}") };
    assert!(error.to_string().contains("provider_capacity: the test cloud is full"), "{error}");
    assert!(failed_operations[0].urn.ends_with("::instance"));
    assert!(!failed_operations[0].outcome_unknown);
    let typed = world.server.take_failure(&failed_operations[0].urn).unwrap();
    assert_eq!(typed.code, contracts::ErrorCode::ProviderCapacity);
}

#[tokio::test]
async fn a_partial_failure_keeps_the_resource_so_that_it_can_be_deleted() {
    let world = World::new().await;
    let stack = world.stack("rt-partial").await;
    let declared = Declared {
        resources: vec![Declaration::new("half", "pilot:test:Thing").input("label", "partial")],
        ..Declared::default()
    };
    stack.up(world.program("rt-partial", declared.clone())).await.unwrap_err();
    let state = stack.export().await.unwrap().to_string();
    assert!(state.contains("id-of-partial"), "{state}");
    stack.destroy(world.program("rt-partial", declared)).await.unwrap();
    assert_eq!(world.cloud.log(), ["create partial", "delete partial"]);
}

#[tokio::test]
async fn cancelling_lets_the_step_under_way_end_and_be_recorded() {
    let world = World::new().await;
    let stack = world.stack("rt-cancel").await;
    let declared = Declared {
        resources: vec![
            Declaration::new("slow", "pilot:test:Thing").input("label", "slow"),
            Declaration::new("never", "pilot:test:Thing").input("label", "never").depends_on("slow"),
        ],
        ..Declared::default()
    };
    let options = Options::default();
    let cancel = options.cancel.clone();
    let cloud = world.cloud.clone();
    tokio::spawn(async move {
        cloud.until_logged("begin slow").await;
        cancel.cancel();
    });
    let error = stack.up(world.program("rt-cancel", declared.clone())).with(&options).await.unwrap_err();
    assert!(matches!(error, Error::Canceled), "{error}");
    let state = stack.export().await.unwrap().to_string();
    assert!(state.contains("id-of-slow") && !state.contains("id-of-never"), "{state}");
    stack.destroy(world.program("rt-cancel", declared)).await.unwrap();
}

#[tokio::test]
async fn a_second_update_of_a_locked_stack_names_the_owner() {
    let world = World::new().await;
    let stack = world.stack("rt-locked").await;
    let declared = Declared {
        resources: vec![Declaration::new("slow", "pilot:test:Thing").input("label", "slow")],
        ..Declared::default()
    };
    let first = {
        let (stack, program) = (stack.clone(), world.program("rt-locked", declared.clone()));
        tokio::spawn(async move { stack.up(program).await })
    };
    world.cloud.until_logged("begin slow").await;
    let options = Options::default().lock_timeout(Duration::ZERO);
    let error = stack.up(world.program("rt-locked", declared)).with(&options).await.unwrap_err();
    let Error::ConcurrentUpdate { owner, .. } = error else { panic!("{error}") };
    assert!(owner.contains("(pid "), "{owner}");
    first.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_program_that_panics_or_fails_is_a_typed_error() {
    let world = World::new().await;
    let stack = world.stack("rt-program").await;
    for (program, words) in world::broken_programs() {
        let error = stack.up(program).await.unwrap_err();
        let Error::Program { message } = &error else { panic!("{error}") };
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn a_stack_that_exists_is_told_from_one_that_does_not() {
    let world = World::new().await;
    let stack = world.stack("rt-twice").await;
    assert!(!stack.ensure().await.unwrap());
    let error = stack.create().await.unwrap_err();
    assert!(matches!(error, Error::StackExists { .. }), "{error}");
    let absent = world.workspace.stack("rt-absent");
    let error = absent.export().await.unwrap_err();
    assert!(matches!(error, Error::StackNotFound { .. }), "{error}");
}

#[tokio::test]
async fn an_operation_that_takes_too_long_is_ended_with_its_own_error() {
    let world = World::new().await;
    let stack = world.stack("rt-limit").await;
    let declared = Declared {
        resources: vec![Declaration::new("slow", "pilot:test:Thing").input("label", "slow")],
        ..Declared::default()
    };
    let options = Options::default().timeout(Duration::from_millis(900));
    let error = stack.up(world.program("rt-limit", declared)).with(&options).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
}
