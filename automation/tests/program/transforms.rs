//! Changes to registrations and invokes on their way to the engine.

use pulumi_auto::{InvokeOptions, ProgramError, ResourceOptions, Transform, Transformed, Value, program};
use serde_json::json;

use crate::support::world::World;
use crate::things::{Noted, nothing, properties, thing, up, with};

fn labelled(label: &'static str) -> Transform {
    Transform::new(move |mut args: Transformed| async move {
        let before = args.inputs.get("label").and_then(Value::as_str).unwrap_or_default().to_owned();
        args.inputs.insert("label".to_owned(), format!("{before}{label}").into());
        Ok(args)
    })
}

#[tokio::test]
async fn transforms_change_inputs_and_options_of_one_resource_of_a_component_and_of_all() {
    let world = World::new().await;
    let stack = world.stack("transforms").await;
    let seen = Noted::new();
    let noted = seen.clone();
    let program = program(move |context| {
        let noted = noted.clone();
        async move {
            let before = context.register(thing("before", [("label", "x".into())])).await?;
            let note = noted.clone();
            let protect = Transform::new(move |mut args: Transformed| {
                note.note((args.name.clone(), args.custom, args.inputs.get("from").cloned()));
                args.options.protect = Some(args.name == "own");
                async { Ok(args) }
            });
            context.transform(protect).await?;
            context.transform(labelled("+stack")).await?;
            let own = |label| ResourceOptions::default().transforms([labelled(label)]);
            let inputs = [("label", "x".into()), ("from", before.output("address"))];
            context.register(with("own", inputs, own("+own"))).await?;
            let group =
                context.component("shop:index:Group", "group", own("+group"), Default::default()).await?;
            let inside = ResourceOptions::default().parent(group.clone());
            context.register(with("part", [], inside)).await?;
            context.register_outputs(&group, nothing()).await?;
            context
                .transform_invokes(|mut call| async move {
                    call.args.insert("name".to_owned(), "changed".into());
                    Ok(call)
                })
                .await?;
            let options = InvokeOptions::default();
            let echoed =
                context.invoke("cloud:test:echo", properties([("name", "first".into())]), options).await?;
            Ok(properties([("echoed", echoed.output("name"))]))
        }
    });
    let update = up(&stack, program).await;
    assert_eq!(update.outputs["echoed"], "changed".into());
    let state = world.state(&stack);
    let label = |name: &str| state.of(name)["inputs"]["label"].clone();
    assert_eq!((label("before"), label("own")), (json!("x"), json!("x+own+stack")));
    assert_eq!(label("part"), json!("+group+stack"));
    assert_eq!(state.of("own")["protect"], json!(true));
    assert_eq!(state.of("own")["propertyDependencies"]["from"], json!([state.urn("before")]));
    let names: Vec<_> = seen.all().into_iter().map(|(name, custom, _)| (name, custom)).collect();
    let expected = [("own", true), ("group", false), ("part", true)];
    assert_eq!(names, expected.map(|(name, custom)| (name.to_owned(), custom)));
    let from = seen.all()[0].2.clone().unwrap();
    assert_eq!(from.dependencies(), [state.urn("before")].into());
}

#[tokio::test]
async fn a_transform_that_fails_or_panics_fails_the_registration_as_an_error_value() {
    let world = World::new().await;
    let stack = world.stack("refusals").await;
    let errors = Noted::new();
    let noted = errors.clone();
    let program = program(move |context| {
        let noted = noted.clone();
        async move {
            let fails = Transform::new(|_| async { Err(ProgramError::Failed("not with me".to_owned())) });
            let panics = Transform::new(|_| async { panic!("a bug in the transform") });
            for (name, transform) in [("a", fails), ("b", panics)] {
                let options = ResourceOptions::default().transforms([transform]);
                noted.note(context.register(with(name, [], options)).await.map(drop));
            }
            context.register(thing("c", [])).await?;
            Ok(nothing())
        }
    });
    up(&stack, program).await;
    let [failed, panicked] = &errors.all()[..] else { panic!() };
    assert!(matches!(failed, Err(ProgramError::Refused(why)) if why.contains("not with me")), "{failed:?}");
    assert!(matches!(panicked, Err(ProgramError::Refused(why)) if why.contains("a bug in")), "{panicked:?}");
    let state = world.state(&stack);
    assert!(state.has("c") && !state.has("a") && !state.has("b"));
}
