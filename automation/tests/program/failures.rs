//! Programs and resources that fail: always an error value, and state is what it should be.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use pulumi_auto::{CancellationToken, Error, Options, ProgramError, ResourceOptions, Value, program};
use serde_json::json;

use crate::support::world::{World, eventually};
use crate::things::{Noted, nothing, properties, thing, up, up_fails, with};

#[tokio::test]
async fn an_error_or_a_panic_of_the_program_fails_the_operation_and_keeps_what_was_made() {
    let world = World::new().await;
    let stack = world.stack("broken").await;
    let good = program(|context| async move {
        let a = context.register(thing("a", [])).await?;
        Ok(properties([("address", a.output("address"))]))
    });
    up(&stack, good).await;
    let fails = program(|context| async move {
        context.register(thing("a", [])).await?;
        context.register(thing("b", [])).await?;
        Err(ProgramError::Failed("no such region".to_owned()))
    });
    let error = up_fails(&stack, fails).await;
    assert!(matches!(&error, Error::Program { message } if message == "no such region"), "{error:?}");
    assert!(world.state(&stack).has("b"));
    // A program that did not come to its end has not said what the outputs are now.
    assert_eq!(world.state(&stack).of("shop-broken")["outputs"], json!({"address": "address-of-a"}));
    let panics = program(|_| async { panic!("a bug in the program") });
    let error = up_fails(&stack, panics).await;
    assert!(error.to_string().contains("the program panicked: a bug in the program"), "{error}");
    assert!(world.state(&stack).has("a"));
}

#[tokio::test]
async fn a_resource_that_fails_ends_the_run_with_the_providers_words() {
    let world = World::new().await;
    let stack = world.stack("failing").await;
    let errors = Noted::new();
    let noted = errors.clone();
    let failing = |property: &'static str| {
        let noted = noted.clone();
        program(move |context| {
            let noted = noted.clone();
            async move {
                let result = context.register(thing("a", [(property, "the disk is full".into())])).await;
                noted.note(result.clone().map(drop));
                result.map(|_| nothing())
            }
        })
    };
    for property in ["invalid", "fail", "vanish"] {
        let error = up_fails(&stack, failing(property)).await;
        let Error::UpdateFailed { diagnostics, .. } = &error else { panic!("{property}: {error:?}") };
        assert!(diagnostics.iter().any(|line| line.message.contains("the disk is full")), "{error}");
        assert!(!world.state(&stack).has("a"), "{property}");
    }
    let error = up_fails(&stack, failing("partial")).await;
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(world.state(&stack).of("a")["initErrors"], json!(["the disk is full"]));
    // Whether the program still hears of it depends on the engine; it never gets a resource.
    assert!(errors.all().iter().all(Result::is_err), "{:?}", errors.all());
}

#[tokio::test]
async fn with_continue_on_error_a_program_is_told_which_resource_failed_and_goes_on() {
    let mut world = World::new().await;
    world.workspace = world.workspace.clone().with_env("PULUMI_CONTINUE_ON_ERROR", "true");
    let stack = world.stack("goes-on").await;
    let errors = Noted::new();
    let noted = errors.clone();
    let program = program(move |context| {
        let noted = noted.clone();
        async move {
            let result = context.register(thing("bad", [("fail", "the disk is full".into())])).await;
            let Err(ProgramError::ResourceFailed { urn }) = &result else { panic!("{result:?}") };
            let depends_on = [urn.clone()];
            noted.note(result.map(drop));
            let dependent = ResourceOptions::default().depends_on(depends_on);
            // It is skipped: nothing is known of it, and what needs it is skipped as well.
            let dependent = context.register(with("dependent", [], dependent)).await?;
            assert_eq!(dependent.output("address").value, Value::Unknown);
            let next = [("label", dependent.output("address"))];
            noted.note(context.register(thing("next", next)).await.map(drop));
            context.register(thing("good", [])).await?;
            Ok(nothing())
        }
    });
    let error = up_fails(&stack, program).await;
    assert!(error.to_string().contains("the disk is full"), "{error}");
    let [Err(ProgramError::ResourceFailed { urn: bad }), Ok(())] = &errors.all()[..] else {
        panic!("{:?}", errors.all())
    };
    assert!(bad.ends_with("cloud:test:Thing::bad"), "{bad}");
    let state = world.state(&stack);
    assert!(state.has("good") && !state.has("bad") && !state.has("dependent") && !state.has("next"));
}

#[tokio::test]
async fn an_update_that_is_skipped_tells_what_is_planned_and_leaves_the_rest_unknown() {
    let mut world = World::new().await;
    world.workspace = world.workspace.clone().with_env("PULUMI_CONTINUE_ON_ERROR", "true");
    let stack = world.stack("skips-update").await;
    let before = program(|context| async move {
        let first = context.register(thing("bad", [])).await?;
        let depends_on = [first.urn];
        let options = ResourceOptions::default().depends_on(depends_on);
        context.register(with("dependent", [("label", "old".into())], options)).await?;
        Ok(nothing())
    });
    up(&stack, before).await;
    let seen = Noted::new();
    let noted = seen.clone();
    let program = program(move |context| {
        let noted = noted.clone();
        async move {
            let result = context.register(thing("bad", [("fail", "the disk is full".into())])).await;
            let Err(ProgramError::ResourceFailed { urn }) = result else { panic!("{result:?}") };
            let options = ResourceOptions::default().depends_on([urn]);
            let dependent = context.register(with("dependent", [("label", "new".into())], options)).await?;
            noted.note((dependent.output("label").value, dependent.output("later").value));
            Ok(nothing())
        }
    });
    let error = up_fails(&stack, program).await;
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(seen.only(), ("new".into(), Value::Unknown));
    assert_eq!(world.state(&stack).of("dependent")["outputs"]["label"], "old");
}

#[tokio::test]
async fn a_request_that_the_engine_refuses_is_an_error_value_and_the_program_goes_on() {
    let world = World::new().await;
    let stack = world.stack("refused").await;
    let errors = Noted::new();
    let noted = errors.clone();
    let program = program(move |context| {
        let noted = noted.clone();
        async move {
            let mut nameless = thing("a", []);
            nameless.resource_type = "not a type".to_owned();
            noted.note(context.register(nameless).await.map(drop));
            Ok(properties([("went", "on".into())]))
        }
    });
    let update = up(&stack, program).await;
    assert_eq!(update.outputs["went"], "on".into());
    assert!(matches!(errors.only(), Err(ProgramError::Refused(why)) if why.contains("not a type")));
}

#[tokio::test]
async fn a_program_that_never_returns_is_dropped_when_the_operation_is_cancelled() {
    struct Dropped(Arc<std::sync::atomic::AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let world = World::new().await;
    let stack = world.stack("endless").await;
    let (gone, cancel) = (Arc::new(std::sync::atomic::AtomicBool::new(false)), CancellationToken::new());
    let flag = Arc::clone(&gone);
    let endless = program(move |context| {
        let dropped = Dropped(Arc::clone(&flag));
        async move {
            let _dropped = dropped;
            context.register(thing("a", [])).await?;
            pending().await
        }
    });
    let options = Options::default().cancel(cancel.clone());
    let (result, ()) = tokio::join!(stack.up(endless).with(&options), async {
        world.cloud.until("create", "a").await;
        cancel.cancel();
    });
    assert!(matches!(result, Err(Error::Canceled)), "{result:?}");
    eventually("the program was dropped", || gone.load(std::sync::atomic::Ordering::SeqCst)).await;
    // The lock is free again.
    let after = program(|context| async move {
        context
            .register(thing("b", [("slow", Value::from(1))].map(|(name, value)| (name, value.into()))))
            .await?;
        Ok(nothing())
    });
    let patient = Options::default().timeout(Duration::from_secs(60));
    stack.up(after).with(&patient).await.unwrap();
}
