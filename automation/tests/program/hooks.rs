//! Functions of the program around the steps of a resource.

use pulumi_auto::{Hooks, ProgramError, ResourceOptions, Step, program};

use crate::support::world::World;
use crate::things::{Noted, nothing, thing, up, up_fails, with};

#[tokio::test]
async fn hooks_run_around_the_steps_of_a_resource_and_see_what_changes() {
    let world = World::new().await;
    let stack = world.stack("hooks").await;
    let seen = Noted::new();
    let declared = |label: Option<&'static str>| {
        let noted = seen.clone();
        program(move |context| {
            let noted = noted.clone();
            async move {
                let mut hooks = Hooks::default();
                let slots = [
                    ("before create", &mut hooks.before_create),
                    ("after create", &mut hooks.after_create),
                    ("before update", &mut hooks.before_update),
                    ("after update", &mut hooks.after_update),
                    ("before delete", &mut hooks.before_delete),
                    ("after delete", &mut hooks.after_delete),
                ];
                for (name, slot) in slots {
                    let noted = noted.clone();
                    let hook = move |step: Step| {
                        let label = |inputs: &std::collections::BTreeMap<String, pulumi_auto::Value>| {
                            inputs.get("label").and_then(|value| value.as_str().map(str::to_owned))
                        };
                        noted.note((
                            name,
                            step.name.clone(),
                            label(&step.old_inputs),
                            label(&step.new_inputs),
                        ));
                        async { Ok(()) }
                    };
                    slot.push(context.hook(name, false, hook).await?);
                }
                let options = ResourceOptions::default().hooks(hooks);
                if let Some(label) = label {
                    context.register(with("a", [("label", label.into())], options)).await?;
                }
                Ok(nothing())
            }
        })
    };
    stack.preview(declared(Some("one"))).await.unwrap();
    assert!(seen.all().is_empty());
    for label in [Some("one"), Some("two"), None] {
        up(&stack, declared(label)).await;
    }
    let (one, two) = (|| Some("one".to_owned()), || Some("two".to_owned()));
    let expected = [
        ("before create", None, one()),
        ("after create", None, one()),
        ("before update", one(), two()),
        ("after update", one(), two()),
        ("before delete", two(), None),
        ("after delete", two(), None),
    ];
    assert_eq!(seen.all(), expected.map(|(name, old, new)| (name, "a".to_owned(), old, new)));
}

#[tokio::test]
async fn a_hook_can_refuse_a_step_and_ask_for_another_try_of_a_failed_one() {
    let world = World::new().await;
    let stack = world.stack("refuse").await;
    let refuses = program(|context| async move {
        let refuse = |_| async { Err(ProgramError::Failed("not on a Friday".to_owned())) };
        let hooks = Hooks::default().before_create([context.hook("refuse", false, refuse).await?]);
        context.register(with("a", [], ResourceOptions::default().hooks(hooks))).await?;
        Ok(nothing())
    });
    let error = up_fails(&stack, refuses).await;
    assert!(error.to_string().contains("not on a Friday"), "{error}");
    assert!(world.cloud.changes().is_empty());

    let tries = Noted::new();
    let noted = tries.clone();
    let retries = program(move |context| {
        let noted = noted.clone();
        async move {
            let retry = move |step: Step| {
                noted.note((step.failed_operation, step.errors[0].clone()));
                let again = noted.all().len() < 3;
                async move { Ok(again) }
            };
            let hooks = Hooks::default().on_error([context.error_hook("retry", retry).await?]);
            let options = ResourceOptions::default().hooks(hooks);
            context.register(with("b", [("fail", "busy".into())], options)).await?;
            context.register(thing("c", [])).await?;
            Ok(nothing())
        }
    });
    up_fails(&stack, retries).await;
    assert_eq!(tries.all().len(), 3);
    let (operation, error) = tries.all()[0].clone();
    assert!(operation == "create" && error.contains("busy"), "{operation}: {error}");
    assert_eq!(world.cloud.changes(), ["create b", "create b", "create b"]);
}
