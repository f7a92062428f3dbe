//! Cases about operations and what is left of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulumi_auto::stack::HistoryOptions;
use pulumi_auto::{
    CancellationToken, Error, EventKind, Input, Options, Outputs, Program, ProgramError, ResourceArgs,
    ResourceOptions, Stack, Value, Workspace, program,
};
use tokio::sync::mpsc;

use super::Subject;

pub fn thing(name: &str, inputs: &[(&str, Input)]) -> ResourceArgs {
    ResourceArgs {
        resource_type: "cloud:test:Thing".to_owned(),
        name: name.to_owned(),
        inputs: inputs.iter().map(|(key, input)| ((*key).to_owned(), input.clone())).collect(),
        options: ResourceOptions::default(),
    }
}

/// Things in a row, each after the one before.
pub fn row(names: &'static [&'static str]) -> Arc<dyn Program> {
    program(move |context| async move {
        let mut before: Option<pulumi_auto::Resource> = None;
        for name in names {
            let mut args = thing(name, &[("label", format!("label of {name}").into())]);
            args.options.depends_on.extend(before.iter().map(|resource| resource.urn.clone()));
            before = Some(context.register(args).await?);
        }
        Ok(Outputs::from([("count".to_owned(), Input::from(names.len() as f64))]))
    })
}

pub async fn stack_in(workspace: &Workspace, name: &str) -> Stack {
    let stack = workspace.stack(name);
    stack.create().await.unwrap();
    stack
}

fn steps(summary: &pulumi_auto::Summary) -> Vec<(&str, &str)> {
    summary.steps.iter().map(|step| (step.op.as_str(), step.name())).collect()
}

fn names(export: &serde_json::Value) -> Vec<String> {
    let resources = export["deployment"]["resources"].as_array().cloned().unwrap_or_default();
    let own = |resource: &&serde_json::Value| resource["type"].as_str().unwrap().starts_with("cloud:");
    let urns = resources.iter().filter(own).map(|resource| resource["urn"].as_str().unwrap().to_owned());
    urns.map(|urn| urn.rsplit("::").next().unwrap().to_owned()).collect()
}

pub async fn state_of(stack: &Stack) -> serde_json::Value {
    serde_json::to_value(stack.export().await.unwrap()).unwrap()
}

pub async fn up_makes_what_the_program_says_and_then_finds_nothing_to_do(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "up").await;
    let first = stack.up(row(&["a", "b"])).await.unwrap();
    assert_eq!(first.summary.changes, BTreeMap::from([("create".to_owned(), 3)]));
    assert_eq!(steps(&first.summary), [("create", "a"), ("create", "b")]);
    assert_eq!(first.outputs, BTreeMap::from([("count".to_owned(), Value::Number(2.0))]));
    let again = stack.up(row(&["a", "b"])).await.unwrap();
    assert!(again.summary.is_unchanged(), "{:?}", again.summary);
    assert_eq!(again.summary.changes["same"], 3);
    assert_eq!(again.outputs, first.outputs);
}

pub async fn what_the_program_no_longer_says_is_deleted(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "shrink").await;
    stack.up(row(&["a", "b", "c"])).await.unwrap();
    let update = stack.up(row(&["a"])).await.unwrap();
    assert_eq!(update.summary.changes["delete"], 2);
    let deleted: Vec<_> = steps(&update.summary).into_iter().filter(|(op, _)| *op == "delete").collect();
    assert_eq!(deleted, [("delete", "c"), ("delete", "b")]);
    assert_eq!(names(&state_of(&stack).await), ["a"]);
}

pub async fn a_preview_plans_and_changes_nothing(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "preview").await;
    let plan = stack.preview(row(&["a", "b"])).await.unwrap();
    assert_eq!(steps(&plan), [("create", "a"), ("create", "b")]);
    assert_eq!(names(&state_of(&stack).await), Vec::<String>::new());
    stack.up(row(&["a"])).await.unwrap();
    let plan = stack.preview_destroy(row(&["a"])).await.unwrap();
    assert_eq!(steps(&plan), [("delete", "a")]);
    assert_eq!(names(&state_of(&stack).await), ["a"]);
}

pub async fn changes_where_none_are_expected_are_an_error(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "unchanged").await;
    stack.up(row(&["a"])).await.unwrap();
    let strict = Options::default().expect_no_changes(true);
    stack.preview(row(&["a"])).with(&strict).await.unwrap();
    let error = stack.preview(row(&["a", "b"])).with(&strict).await.unwrap_err();
    assert!(matches!(error, Error::NoChangesExpected), "{error:?}");
}

pub async fn events_come_in_the_order_of_the_operation(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "events").await;
    let (sender, mut events) = mpsc::channel(4096);
    let options = Options::default().events(sender);
    stack.up(row(&["a"])).with(&options).await.unwrap();
    drop(options);
    let mut told = Vec::new();
    while let Some(event) = events.recv().await {
        match event.kind {
            EventKind::Prelude(_) => told.push("prelude".to_owned()),
            EventKind::ResourcePre(step) if step.name() == "a" => told.push(format!("{} a", step.op)),
            EventKind::ResourceOutputs(step) if step.name() == "a" => {
                let label = step.new.unwrap()["outputs"]["label"].clone();
                told.push(format!("did {} a: {label}", step.op));
            }
            EventKind::Summary(summary) => told.push(format!("summary {}", summary.result.unwrap())),
            EventKind::Cancel => told.push("end".to_owned()),
            _ => {}
        }
    }
    let expected = ["prelude", "create a", "did create a: \"label of a\"", "summary succeeded", "end"];
    assert_eq!(told, expected);
}

pub async fn a_program_that_fails_or_panics_is_told_in_its_own_words(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "broken").await;
    let fails = program(|context| async move {
        context.register(thing("a", &[])).await?;
        Err(ProgramError::Failed("no such region".to_owned()))
    });
    let error = stack.up(fails).await.unwrap_err();
    assert!(matches!(&error, Error::Program { message } if message == "no such region"), "{error:?}");
    assert_eq!(names(&state_of(&stack).await), ["a"]);
    let panics = program(|_| async { panic!("a bug in the program") });
    let error = stack.up(panics).await.unwrap_err();
    assert!(error.to_string().contains("a bug in the program"), "{error}");
    assert_eq!(names(&state_of(&stack).await), ["a"]);
}

pub async fn a_refused_resource_names_itself_and_the_rest_stays(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "refused").await;
    subject.refuse("b", "quota used up");
    let two = |inputs: &'static [(&'static str, &'static str)]| {
        program(move |context| async move {
            context.register(thing("a", &[])).await?;
            let inputs: Vec<_> = inputs.iter().map(|(key, value)| (*key, Input::from(*value))).collect();
            context.register(thing("b", &inputs)).await?;
            Ok(Outputs::new())
        })
    };
    let error = stack.up(two(&[("fail", "quota used up")])).await.unwrap_err();
    let Error::UpdateFailed { diagnostics, failed_operations, operation } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(operation, "up");
    assert!(diagnostics.iter().any(|line| line.message.contains("quota used up")), "{diagnostics:?}");
    let failed: Vec<_> = failed_operations.iter().map(|failed| failed.op.as_str()).collect();
    assert_eq!(failed, ["create"]);
    assert!(failed_operations[0].urn.ends_with("cloud:test:Thing::b"));
    assert_eq!(names(&state_of(&stack).await), ["a"]);
    let update = stack.up(two(&[])).await.unwrap();
    assert_eq!(update.summary.changes["create"], 1);
}

/// The words are those of a service that says that another update runs.
pub async fn a_conflict_in_a_providers_words_is_a_failed_update(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "conflict").await;
    let words = "[409] Conflict: Another update is currently in progress.";
    subject.refuse("a", words);
    let program = program(move |context| async move {
        context.register(thing("a", &[("fail", words.into())])).await?;
        Ok(Outputs::new())
    });
    let error = stack.up(program).await.unwrap_err();
    let Error::UpdateFailed { diagnostics, .. } = &error else { panic!("{error:?}") };
    assert!(diagnostics.iter().any(|line| line.message.contains(words)), "{diagnostics:?}");
}

pub async fn two_operations_on_one_stack_exclude_each_other(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "busy").await;
    subject.hold("a");
    let first = {
        let stack = stack.clone();
        tokio::spawn(async move { stack.up(row(&["a"])).await })
    };
    subject.reached("a").await;
    let impatient = Options::default().lock_timeout(Duration::ZERO);
    let error = stack.up(row(&["a"])).with(&impatient).await.unwrap_err();
    let Error::ConcurrentUpdate { stack: named, owner, .. } = error else { panic!("{error:?}") };
    assert_eq!(named, "busy");
    assert!(!owner.is_empty());
    subject.release("a");
    first.await.unwrap().unwrap();
    stack.up(row(&["a"])).with(&impatient).await.unwrap();
}

pub async fn a_cancelled_operation_frees_the_stack(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "cancel").await;
    let cancel = CancellationToken::new();
    let options = Options::default().cancel(cancel.clone());
    let began = Arc::new(tokio::sync::Notify::new());
    let began_in = Arc::clone(&began);
    let endless = program(move |context| {
        let began = Arc::clone(&began_in);
        async move {
            context.register(thing("a", &[])).await?;
            began.notify_one();
            std::future::pending().await
        }
    });
    let running = {
        let stack = stack.clone();
        tokio::spawn(async move { stack.up(endless).with(&options).await })
    };
    began.notified().await;
    cancel.cancel();
    let error = running.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Canceled), "{error:?}");
    let update = stack.up(row(&["a"])).await.unwrap();
    assert_eq!(update.summary.changes.get("create"), None, "what was made before is still known");
}

pub async fn an_operation_that_takes_too_long_is_ended(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "slow").await;
    let endless = program(|_| async { std::future::pending().await });
    let limit = Duration::from_secs(3);
    let options = Options::default().timeout(limit);
    let error = stack.up(endless).with(&options).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { timeout: told } if told == limit), "{error:?}");
    stack.up(row(&["a"])).await.unwrap();
}

pub async fn destroy_deletes_dependents_first_and_leaves_an_empty_stack(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "destroy").await;
    stack.up(row(&["a", "b", "c"])).await.unwrap();
    let destroyed = stack.destroy(row(&[])).await.unwrap();
    assert_eq!(steps(&destroyed), [("delete", "c"), ("delete", "b"), ("delete", "a")]);
    assert_eq!(names(&state_of(&stack).await), Vec::<String>::new());
    let again = stack.destroy(row(&[])).await.unwrap();
    assert_eq!(again.changes.get("delete"), None);
    stack.remove().await.unwrap();
}

pub async fn a_protected_resource_is_not_destroyed(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "protected").await;
    let guarded = program(|context| async move {
        let mut args = thing("a", &[]);
        args.options.protect = Some(true);
        context.register(args).await?;
        Ok(Outputs::new())
    });
    stack.up(guarded).await.unwrap();
    let error = stack.destroy(row(&[])).await.unwrap_err();
    let Error::UpdateFailed { diagnostics, .. } = &error else { panic!("{error:?}") };
    assert!(diagnostics.iter().any(|line| line.message.contains("protect")), "{diagnostics:?}");
    assert_eq!(names(&state_of(&stack).await), ["a"]);
}

pub async fn components_are_parents_in_the_urn(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "family").await;
    let family = program(|context| async move {
        let group =
            context.component("app:web:Group", "group", ResourceOptions::default(), BTreeMap::new()).await?;
        let mut args = thing("member", &[]);
        args.options.parent = Some((&group).into());
        let member = context.register(args).await?;
        context.register_outputs(&group, Outputs::from([("done".to_owned(), true.into())])).await?;
        Ok(Outputs::from([("urn".to_owned(), Input::from(member.urn))]))
    });
    let update = stack.up(family).await.unwrap();
    let urn = update.outputs["urn"].as_str().unwrap();
    assert!(urn.ends_with("::app:web:Group$cloud:test:Thing::member"), "{urn}");
}

pub async fn history_tells_what_was_done_the_newest_first(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "history").await;
    let noted = |message: &str| Options::default().message(message.to_owned());
    stack.up(row(&["a"])).with(&noted("it's \"first\"")).await.unwrap();
    stack.destroy(row(&[])).with(&noted("last")).await.unwrap();
    let history = stack.history(&HistoryOptions::default()).await.unwrap();
    let told: Vec<_> = history.iter().map(|info| (info.kind.as_str(), info.message.as_str())).collect();
    assert_eq!(told, [("destroy", "last"), ("update", "it's \"first\"")]);
    assert_eq!(history[1].resource_changes.as_ref().unwrap()["create"], 2);
    assert_eq!(history[1].result.as_deref(), Some("succeeded"));
}

pub async fn many_stacks_at_once_do_not_see_each_other(subject: impl Subject) {
    let workspace = subject.workspace();
    let mut running = tokio::task::JoinSet::new();
    for number in 0..4 {
        let workspace = workspace.clone();
        running.spawn(async move {
            let stack = stack_in(&workspace, &format!("many-{number}")).await;
            let own = program(move |context| async move {
                assert_eq!(context.stack(), format!("many-{number}"));
                let made = context.register(thing("a", &[("label", format!("{number}").into())])).await?;
                Ok(Outputs::from([("label".to_owned(), made.output("label"))]))
            });
            let update = stack.up(own).await.unwrap();
            assert_eq!(update.outputs["label"], Value::from(format!("{number}")));
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}
