//! Options that choose what an operation is about, and what they leave alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulumi_auto::options::{Plan, Select};
use pulumi_auto::stack::{ImportOptions, ImportResource};
use pulumi_auto::{Error, InvokeOptions, Options, ResourceArgs, Source, Value, program};

use crate::support::world::World;
use crate::things::{Noted, destroy, nothing, thing, up};

fn things(names: &'static [&'static str], label: &'static str) -> Arc<dyn pulumi_auto::Program> {
    program(move |context| async move {
        for name in names {
            context.register(thing(name, [("label", label.into())])).await?;
        }
        Ok(nothing())
    })
}

fn selecting(select: Select) -> Options {
    Options::default().select(select)
}

#[tokio::test]
async fn targets_excludes_and_replacements_touch_only_what_they_name() {
    let world = World::new().await;
    let stack = world.stack("select").await;
    up(&stack, things(&["a", "b"], "one")).await;
    let (a, b) = (world.state(&stack).urn("a"), world.state(&stack).urn("b"));

    let only_a = selecting(Select::default().targets([a.clone()]));
    stack.up(things(&["a", "b"], "two")).with(&only_a).await.unwrap();
    let label = |name: &str| world.state(&stack).of(name)["inputs"]["label"].as_str().unwrap().to_owned();
    assert_eq!((label("a"), label("b")), ("two".to_owned(), "one".to_owned()));

    let all_but_a = selecting(Select::default().excludes([a.clone()]));
    stack.up(things(&["a", "b"], "three")).with(&all_but_a).await.unwrap();
    assert_eq!((label("a"), label("b")), ("two".to_owned(), "three".to_owned()));

    world.cloud.forget_log();
    let replaced = selecting(Select::default().replace([b]));
    stack.up(things(&["a", "b"], "two")).with(&replaced).await.unwrap();
    assert_eq!(world.cloud.changes(), ["create b", "delete b-1"]);
    let only_a = selecting(Select::default().targets([a]));
    stack.destroy(things(&[], "")).with(&only_a).await.unwrap();
    assert_eq!((world.state(&stack).has("a"), world.state(&stack).has("b")), (false, true));
}

#[tokio::test]
async fn a_refresh_follows_the_cloud_and_its_preview_only_tells() {
    let world = World::new().await;
    let stack = world.stack("refresh").await;
    up(&stack, things(&["a", "b"], "one")).await;
    let id = world.state(&stack).of("a")["id"].as_str().unwrap().to_owned();
    world.cloud.uproot(&id);
    let plan = stack.preview_refresh(things(&[], "")).await.unwrap();
    assert_eq!(plan.changes["delete"], 1);
    assert!(world.state(&stack).has("a"));
    let strict = Options::default().expect_no_changes(true);
    let error = stack.refresh(things(&[], "")).with(&strict).await.unwrap_err();
    assert!(matches!(error, Error::NoChangesExpected), "{error:?}");
    stack.refresh(things(&[], "")).await.unwrap();
    assert!(!world.state(&stack).has("a"));
    let again = Options::default().refresh(true);
    let update = stack.up(things(&["a", "b"], "one")).with(&again).await.unwrap();
    assert_eq!(update.summary.changes["create"], 1);
}

#[tokio::test]
async fn a_saved_plan_allows_what_it_says_and_nothing_else() {
    let world = World::new().await;
    let stack = world.stack("plan").await;
    let file = world.folder().join("plan.json");
    let save = Options::default().plan(Plan::default().save(file.clone()));
    stack.preview(things(&["a"], "one")).with(&save).await.unwrap();
    let apply = Options::default().plan(Plan::default().apply(file));
    let error = stack.up(things(&["a", "b"], "one")).with(&apply).await.unwrap_err();
    assert!(error.to_string().contains("not allowed by the plan"), "{error}");
    assert!(!world.state(&stack).has("b"));
    stack.up(things(&["a"], "one")).with(&apply).await.unwrap();
}

#[tokio::test]
async fn what_exists_already_is_imported_and_then_owned() {
    let world = World::new().await;
    let stack = world.stack("import").await;
    let planted = BTreeMap::from([("label".to_owned(), Value::from("old"))]);
    world.cloud.plant("found-1", planted);
    let resource = ImportResource::new("cloud:test:Thing", "found").id("found-1");
    let import = ImportOptions::default().protect(false);
    let found = std::slice::from_ref(&resource);
    let plan = stack.preview_import(found, &import).await.unwrap();
    assert_eq!(plan.summary.changes["import"], 1);
    assert!(!world.state(&stack).has("found"));
    let imported = stack.import_resources(found, &import).await.unwrap();
    assert_eq!((imported.summary.changes["import"], imported.code), (1, None));
    assert_eq!(world.state(&stack).of("found")["inputs"]["label"], "old");
    let missing = ImportResource::new("cloud:test:Thing", "x").id("nowhere");
    let error = stack.import_resources(&[missing], &import).await.unwrap_err();
    assert!(matches!(error, Error::UpdateFailed { .. }), "{error:?}");
    destroy(&stack).await;
    assert_eq!(world.cloud.ids(), Vec::<String>::new());
}

#[tokio::test]
async fn a_destroy_can_go_on_past_a_failure_run_the_program_and_remove_the_stack() {
    let world = World::new().await;
    let stack = world.stack("ending").await;
    let stubborn = program(|context| async move {
        context.register(thing("bad", [("failDelete", "it is busy".into())])).await?;
        context.register(thing("good", [])).await?;
        Ok(nothing())
    });
    up(&stack, Arc::clone(&stubborn)).await;
    let go_on = Options::default().continue_on_error(true).run_program(true);
    let error = stack.destroy(Arc::clone(&stubborn)).with(&go_on).await.unwrap_err();
    let Error::UpdateFailed { failed_operations, .. } = &error else { panic!("{error:?}") };
    assert!(failed_operations.iter().any(|failed| failed.urn.ends_with("::bad")), "{failed_operations:?}");
    assert!(!world.state(&stack).has("good"));

    let urn = world.state(&stack).urn("bad");
    up(&stack, things(&["bad"], "tame")).await;
    assert_eq!(world.state(&stack).urn("bad"), urn);
    let remove = Options::default().remove(true);
    stack.destroy(Source::from(stubborn)).with(&remove).await.unwrap();
    let error = stack.export().await.unwrap_err();
    assert!(matches!(error, Error::StackNotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn an_import_places_what_it_finds_under_its_parent_and_its_provider() {
    let world = World::new().await;
    let stack = world.stack("placed").await;
    let program = program(|context| async move {
        let west = ResourceArgs {
            resource_type: "pulumi:providers:cloud".to_owned(),
            name: "west".to_owned(),
            ..ResourceArgs::default()
        };
        context.register(west).await?;
        let group = context.component("shop:index:Group", "group", Default::default(), nothing()).await?;
        context.register_outputs(&group, nothing()).await?;
        Ok(nothing())
    });
    up(&stack, program).await;
    let before = world.state(&stack);
    world.cloud.plant("found-1", BTreeMap::from([("label".to_owned(), Value::from("old"))]));
    let names = ["group", "west"].map(|name| (format!("the-{name}"), before.urn(name)));
    let import = ImportOptions::default().names(BTreeMap::from(names));
    let resource = ImportResource::new("cloud:test:Thing", "found")
        .id("found-1")
        .parent("the-group")
        .provider("the-west");
    let unknown = resource.clone().parent("nobody");
    let error = stack.import_resources(&[unknown], &import).await.unwrap_err();
    assert!(error.to_string().contains("nobody"), "{error}");
    world.cloud.forget_log();
    stack.import_resources(&[resource], &import).await.unwrap();
    let state = world.state(&stack);
    let found = state.of("found");
    assert_eq!(found["parent"], before.urn("group"));
    assert!(state.urn("found").contains("shop:index:Group$cloud:test:Thing::"), "{found}");
    assert!(found["provider"].as_str().unwrap().starts_with(&before.urn("west")), "{found}");
    assert_eq!(found["protect"], true, "as it is by default");
    let asked = world.cloud.last("read", "found").connection;
    assert_eq!(asked, world.cloud.last("configure", "west").connection);
}

#[tokio::test]
async fn a_refresh_and_a_destroy_run_the_program_only_when_they_are_told_to() {
    let world = World::new().await;
    let stack = world.stack("runs").await;
    let runs = Noted::new();
    let counted = {
        let runs = runs.clone();
        program(move |context| {
            let runs = runs.clone();
            async move {
                runs.note(context.is_preview());
                context.register(thing("a", [])).await?;
                Ok(nothing())
            }
        })
    };
    let running = |run_program| Options::default().run_program(run_program);
    up(&stack, Arc::clone(&counted)).await;
    assert_eq!(runs.all(), [false]);
    for (run_program, count) in [(None, 1), (Some(false), 1), (Some(true), 2)] {
        stack.refresh(Arc::clone(&counted)).with(&running(run_program)).await.unwrap();
        assert_eq!(runs.all().len(), count, "refresh {run_program:?}");
        assert!(world.state(&stack).has("a"));
    }
    for (run_program, count) in [(None, 2), (Some(false), 2), (Some(true), 3)] {
        stack.destroy(Arc::clone(&counted)).with(&running(run_program)).await.unwrap();
        assert_eq!(runs.all().len(), count, "destroy {run_program:?}");
        assert_eq!(world.cloud.ids(), Vec::<String>::new());
        if run_program != Some(true) {
            let again = things(&["a"], "again");
            up(&stack, again).await;
        }
    }
}

#[tokio::test]
async fn a_refresh_with_an_update_comes_before_the_program_or_while_it_runs() {
    let world = World::new().await;
    let stack = world.stack("when").await;
    let asking = program(|context| async move {
        context.invoke("cloud:test:echo", nothing(), InvokeOptions::default()).await?;
        context.register(thing("a", [])).await?;
        Ok(nothing())
    });
    up(&stack, Arc::clone(&asking)).await;
    for (run_program, order) in
        [(None, ["read a", "invoke cloud:test:echo"]), (Some(true), ["invoke cloud:test:echo", "read a"])]
    {
        world.cloud.forget_log();
        let options = Options::default().refresh(true).run_program(run_program);
        stack.up(Arc::clone(&asking)).with(&options).await.unwrap();
        let mut calls = world.cloud.calls();
        calls.retain(|call| order.contains(&call.as_str()));
        assert_eq!(calls, order, "{run_program:?}");
    }
}
