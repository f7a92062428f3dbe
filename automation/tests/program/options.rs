//! Every resource option, seen in state, in the order of things, or by the provider.

use std::time::Duration;

use pulumi_auto::{Alias, AliasParent, CustomTimeouts, Input, ResourceOptions, program};
use serde_json::json;

use crate::support::cloud::Properties;
use crate::support::world::World;
use crate::things::{destroy, nothing, thing, up, with};

fn options() -> ResourceOptions {
    ResourceOptions::default()
}

#[tokio::test]
async fn deletion_follows_protection_retention_dependencies_and_what_goes_with_another() {
    let world = World::new().await;
    let stack = world.stack("deletion").await;
    let declared = |protect: bool| {
        program(move |context| async move {
            let seconds = |seconds| Some(Duration::from_secs(seconds));
            let custom_timeouts = CustomTimeouts::default()
                .create(seconds(30))
                .update(seconds(90))
                .delete(seconds(3600))
                .read(seconds(5));
            let first =
                context.register(with("first", [], options().custom_timeouts(custom_timeouts))).await?;
            let second =
                context.register(with("second", [], options().depends_on([first.urn.clone()]))).await?;
            context.register(with("guarded", [], options().protect(protect))).await?;
            context.register(with("kept", [], options().retain_on_delete(true))).await?;
            context.register(with("along", [], options().deleted_with(second.urn))).await?;
            Ok(nothing())
        })
    };
    up(&stack, declared(true)).await;
    let state = world.state(&stack);
    let first = state.of("first");
    assert_eq!(first["customTimeouts"], json!({"create": 30, "update": 90, "delete": 3600, "read": 5}));
    assert_eq!(first["parent"], json!(state.urn("shop-deletion")));
    assert_eq!(state.of("second")["dependencies"], json!([state.urn("first")]));
    assert_eq!(state.of("guarded")["protect"], json!(true));
    assert_eq!(state.of("kept")["retainOnDelete"], json!(true));
    assert_eq!(state.of("along")["deletedWith"], json!(state.urn("second")));
    assert_eq!(world.cloud.last("create", "first").timeout, 30.0);

    let refused = stack.destroy(declared(true)).await.unwrap_err();
    assert!(refused.to_string().contains("protected"), "{refused}");
    assert!(world.cloud.ids().contains(&"guarded-1".to_owned()));

    up(&stack, declared(false)).await;
    world.cloud.forget_log();
    destroy(&stack).await;
    let changes = world.cloud.changes();
    let place = |start: &str| changes.iter().position(|change| change.starts_with(start));
    assert!(place("delete guarded").is_some() && place("delete first").is_some(), "{changes:?}");
    assert!(place("delete second") < place("delete first"), "{changes:?}");
    assert_eq!((place("delete kept"), place("delete along")), (None, None), "{changes:?}");
    assert_eq!(world.cloud.last("delete", "first").timeout, 3600.0);
    assert!(!world.state(&stack).has("kept"));
}

#[tokio::test]
async fn a_change_is_ignored_replaces_or_updates_as_the_options_say() {
    let world = World::new().await;
    let stack = world.stack("changes").await;
    let declared = |label: &'static str| {
        program(move |context| async move {
            let inputs = || [("label", Input::from(label)), ("other", Input::from("o"))];
            let paths = || vec!["label".to_owned()];
            context.register(thing("updated", inputs())).await?;
            context.register(with("ignoring", inputs(), options().ignore_changes(paths()))).await?;
            let replacing = options().replace_on_changes(paths());
            let replaced = context.register(with("replaced", inputs(), replacing)).await?;
            let gap = options().replace_on_changes(paths()).delete_before_replace(true);
            context.register(with("gap", inputs(), gap)).await?;
            let following = options().replace_with([replaced.urn.clone()]);
            context.register(with("following", [], following)).await?;
            let triggered = options().replacement_trigger(Input::from(label));
            context.register(with("triggered", [], triggered)).await?;
            Ok(nothing())
        })
    };
    up(&stack, declared("one")).await;
    let same = up(&stack, declared("one")).await;
    assert!(same.summary.is_unchanged(), "{:?}", same.summary);
    world.cloud.forget_log();
    up(&stack, declared("two")).await;

    let changes = world.cloud.changes();
    let place = |line: &str| {
        changes.iter().position(|change| change == line).unwrap_or_else(|| panic!("{changes:?}"))
    };
    place("update updated");
    assert!(!changes.iter().any(|change| change.contains("ignoring")), "{changes:?}");
    assert!(place("create replaced") < place("delete replaced-1"));
    assert!(place("delete gap-1") < place("create gap"));
    assert!(place("create following") < place("delete following-1"));
    assert!(place("create triggered") < place("delete triggered-1"));
    let state = world.state(&stack);
    assert_eq!(state.of("ignoring")["inputs"]["label"], json!("one"));
    assert_eq!(state.of("replaced")["id"], json!("replaced-2"));
}

#[tokio::test]
async fn a_resource_that_was_named_typed_or_placed_differently_is_found_again_by_its_aliases() {
    let world = World::new().await;
    let stack = world.stack("aliases").await;
    let before = program(|context| async move {
        context.register(thing("old-name", [])).await?;
        context.register(thing("moved", [])).await?;
        context.register(thing("by-urn", [])).await?;
        let mut typed = thing("typed", []);
        typed.resource_type = "cloud:test:Older".to_owned();
        context.register(typed).await?;
        Ok(nothing())
    });
    up(&stack, before).await;
    let urn = world.state(&stack).urn("by-urn");
    world.cloud.forget_log();
    let after = program(move |context| {
        let urn = urn.clone();
        async move {
            let aliases = |alias| options().aliases([alias]);
            context.register(with("new-name", [], aliases(Alias::name("old-name")))).await?;
            let group = context.component("shop:index:Group", "group", options(), Default::default()).await?;
            let moved = aliases(Alias::parent(AliasParent::Stack)).parent(&group);
            context.register(with("moved", [], moved)).await?;
            context.register(with("any-urn", [], aliases(Alias::Urn(urn)))).await?;
            context.register(with("typed", [], aliases(Alias::resource_type("cloud:test:Older")))).await?;
            context.register_outputs(&group, nothing()).await?;
            Ok(nothing())
        }
    });
    let update = up(&stack, after).await;
    assert_eq!(update.summary.changes.get("create"), Some(&1), "{:?}", update.summary);
    assert_eq!(update.summary.changes.get("delete"), None);
    assert!(world.cloud.changes().is_empty(), "{:?}", world.cloud.changes());
    let state = world.state(&stack);
    assert_eq!(state.of("new-name")["id"], json!("old-name-1"));
    assert!(state.urn("moved").contains("shop:index:Group$cloud:test:Thing::moved"));
    assert!(state.has("any-urn") && !state.has("by-urn"));
    assert!(state.urn("typed").contains("cloud:test:Thing::typed"));
}

#[tokio::test]
async fn what_exists_is_imported_and_changed_to_what_the_inputs_say() {
    let world = World::new().await;
    let stack = world.stack("import").await;
    for id in ["vpc-7", "vpc-8"] {
        world.cloud.plant(id, Properties::from([("label".to_owned(), "found".into())]));
    }
    let import = program(|context| async move {
        for (name, id, label) in [("agrees", "vpc-7", "found"), ("differs", "vpc-8", "wanted")] {
            let inputs = [("label", label.into())];
            context.register(with(name, inputs, options().import_id(id))).await?;
        }
        Ok(nothing())
    });
    let update = up(&stack, import).await;
    assert_eq!(update.summary.changes.get("import"), Some(&2), "{:?}", update.summary.changes);
    assert_eq!(world.cloud.changes(), ["update differs"]);
    let state = world.state(&stack);
    assert_eq!((&state.of("agrees")["id"], &state.of("differs")["id"]), (&json!("vpc-7"), &json!("vpc-8")));
    assert_eq!(state.of("agrees")["outputs"]["address"], json!("address-of-agrees"));
    assert_eq!(state.of("differs")["inputs"]["label"], json!("wanted"));
}
