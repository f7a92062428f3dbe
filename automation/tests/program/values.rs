//! Secrets, unknowns, dependencies of single properties, files.

use pulumi_auto::{
    Archive, ArchiveEntry, Asset, Hooks, Input, InvokeOptions, Outputs, ResourceOptions, Step, Transform,
    Transformed, Value, program,
};
use serde_json::json;

use crate::support::cloud::Properties;
use crate::support::world::World;
use crate::things::{Noted, nothing, properties, thing, up, with};

#[tokio::test]
async fn secrets_are_encrypted_in_state_and_come_back_as_secrets() {
    let world = World::new().await;
    let stack = world.stack("secrets").await;
    let options = ResourceOptions::default().additional_secret_outputs(["address"]);
    let program = program(move |context| {
        let options = options.clone();
        async move {
            let inputs = [
                ("token", Value::secret("canary-1").into()),
                ("nested", Value::List(vec!["plain".into(), Value::secret("canary-2")]).into()),
                ("secretOutput", Value::secret("canary-3").into()),
                ("label", "plain".into()),
            ];
            let made = context.register(with("a", inputs, options)).await?;
            let derived = made.output("hidden").map(|value| format!("{}!", value.as_str().unwrap()).into());
            let parts = Input::all([made.output("label"), made.output("hidden")]);
            let joined = Input::concat(["host=".into(), made.output("hidden")]);
            Ok(properties([
                ("hidden", made.output("hidden")),
                ("address", made.output("address")),
                ("derived", derived),
                ("counted", parts.clone().map(|parts| parts.reveal().to_string().into())),
                ("parts", parts),
                ("joined", joined),
                ("named", Input::from("canary-4").into_secret()),
            ]))
        }
    });
    let update = up(&stack, program).await;

    assert_eq!(update.outputs["hidden"], Value::secret("canary-3"));
    assert_eq!(update.outputs["derived"], Value::secret("canary-3!"));
    assert_eq!(update.outputs["counted"], Value::secret(r#"["plain","canary-3"]"#));
    assert_eq!(update.outputs["joined"], Value::secret("host=canary-3"));
    assert_eq!(update.outputs["address"], Value::secret("address-of-a"));
    assert!(!world.state_mentions("canary"));
    let state = world.state(&stack);
    for property in ["token", "secretOutput"] {
        assert!(state.of("a")["inputs"][property]["ciphertext"].is_string(), "{property}");
    }
    assert!(state.of("a")["inputs"]["nested"][1]["ciphertext"].is_string());
    for property in ["hidden", "address"] {
        assert!(state.of("a")["outputs"][property]["ciphertext"].is_string(), "{property}");
    }
    assert!(state.of("shop-secrets")["outputs"]["named"]["ciphertext"].is_string());
    // The provider does get them.
    assert_eq!(world.cloud.last("create", "a").inputs["token"], Value::secret("canary-1"));
}

#[tokio::test]
async fn what_only_a_create_can_tell_is_unknown_in_a_preview_and_each_property_knows_what_it_came_from() {
    let world = World::new().await;
    let stack = world.stack("unknowns").await;
    let seen = Noted::new();
    let noted = seen.clone();
    let program = program(move |context| {
        let noted = noted.clone();
        async move {
            let a = context.register(thing("a", [("label", "known".into())])).await?;
            let c = context.register(thing("c", [])).await?;
            noted.note((a.output("address").value, a.output("label").value, a.id.clone()));
            let both = Value::List(vec![a.output("address").into_value(), c.output("address").into_value()]);
            let inputs = [
                ("one", a.output("address")),
                ("both", both.into()),
                ("free", "x".into()),
                ("whole", a.reference()),
            ];
            let b = context.register(thing("b", inputs)).await?;
            Ok(properties([("one", b.output("one"))]))
        }
    });
    stack.preview(program.clone()).await.unwrap();
    assert_eq!(seen.only(), (Value::Unknown, "known".into(), String::new()));
    let checked = world.cloud.last("check", "b").inputs;
    assert_eq!(checked["one"], Value::Unknown);
    assert_eq!(checked["both"], Value::List(vec![Value::Unknown, Value::Unknown]));
    assert_eq!(checked["free"], "x".into());
    assert!(world.cloud.changes().is_empty());

    let update = up(&stack, program).await;
    assert_eq!(update.outputs["one"], "address-of-a".into());
    let state = world.state(&stack);
    let (a, c) = (state.urn("a"), state.urn("c"));
    let b = state.of("b");
    let mut dependencies: Vec<&str> =
        b["dependencies"].as_array().unwrap().iter().map(|urn| urn.as_str().unwrap()).collect();
    dependencies.sort();
    assert_eq!(dependencies, [&a, &c]);
    assert_eq!(b["propertyDependencies"]["one"], json!([a]));
    assert_eq!(b["propertyDependencies"]["both"].as_array().unwrap().len(), 2);
    assert!(b["propertyDependencies"]["free"].as_array().is_none_or(Vec::is_empty));
    assert_eq!(b["inputs"]["both"], json!(["address-of-a", "address-of-c"]));
    assert_eq!(b["inputs"]["whole"]["urn"], json!(a));
    assert_eq!(b["inputs"]["whole"]["id"], json!("a-1"));
}

#[tokio::test]
async fn an_engine_without_output_values_and_references_gets_plain_values_with_the_same_dependencies() {
    let mut world = World::new().await;
    for switch in ["PULUMI_DISABLE_OUTPUT_VALUES", "PULUMI_DISABLE_RESOURCE_REFERENCES"] {
        world.workspace = world.workspace.clone().with_env(switch, "true");
    }
    let stack = world.stack("plain").await;
    let program = program(|context| async move {
        let a = context.register(thing("a", [])).await?;
        let group =
            context.component("shop:index:Group", "g", Default::default(), Default::default()).await?;
        let inputs = [
            ("one", a.output("address").into_secret()),
            ("whole", a.reference()),
            ("group", group.reference()),
        ];
        context.register(thing("b", inputs)).await?;
        Ok(nothing())
    });
    up(&stack, program).await;
    let state = world.state(&stack);
    let b = state.of("b");
    assert_eq!(b["inputs"]["whole"], json!("a-1"));
    assert_eq!(b["inputs"]["group"], json!(state.urn("g")));
    assert!(b["inputs"]["one"]["ciphertext"].is_string());
    for property in ["one", "whole"] {
        assert_eq!(b["propertyDependencies"][property], json!([state.urn("a")]), "{property}");
    }
}

#[tokio::test]
async fn files_and_folders_reach_the_provider_and_are_known_again_by_their_hash() {
    let world = World::new().await;
    let stack = world.stack("files").await;
    let folder = world.folder().join("site");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("index.html"), "<h1>hi</h1>").unwrap();
    let (index, site) = (folder.join("index.html").display().to_string(), folder.display().to_string());
    let answered = Noted::new();
    let noted = answered.clone();
    let program = program(move |context| {
        let (noted, index, site) = (noted.clone(), index.clone(), site.clone());
        async move {
            let entries = [
                ("a.txt".to_owned(), ArchiveEntry::Asset(Asset::text("in an archive"))),
                ("site".to_owned(), ArchiveEntry::Archive(Archive::path(&site))),
            ];
            let inputs = [
                ("text", Value::from(Asset::text("hello")).into()),
                ("file", Value::from(Asset::path(index)).into()),
                ("packed", Value::from(Archive::assets(entries)).into()),
                ("folder", Value::from(Archive::path(site)).into()),
            ];
            let made = context.register(thing("a", inputs)).await?;
            noted.note(made.output("text").value);
            Ok(nothing())
        }
    });
    up(&stack, program.clone()).await;
    let created = world.cloud.last("create", "a").inputs;
    let Value::Asset(text) = &created["text"] else { panic!("{created:?}") };
    assert_eq!(text.source, Asset::text("hello").source);
    // SHA-256 of `hello`: the engine has computed it.
    let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(text.hash, hash);
    assert_eq!(answered.only(), created["text"]);
    let state = world.state(&stack);
    let inputs = &state.of("a")["inputs"];
    assert_eq!(inputs["text"]["hash"], json!(hash));
    for property in ["file", "packed", "folder"] {
        assert_eq!(inputs[property]["hash"].as_str().unwrap().len(), 64, "{property}");
    }

    let again = up(&stack, program.clone()).await;
    assert!(again.summary.is_unchanged(), "{:?}", again.summary);
    std::fs::write(folder.join("index.html"), "<h1>changed</h1>").unwrap();
    let changed = up(&stack, program).await;
    assert_eq!(changed.summary.changes.get("update"), Some(&1), "{:?}", changed.summary);
}

#[tokio::test]
async fn a_program_may_leave_tasks_behind_that_still_register() {
    let world = World::new().await;
    let stack = world.stack("tasks").await;
    let cloud = world.cloud.clone();
    cloud.hold("late");
    let program = program(move |context| {
        let cloud = cloud.clone();
        async move {
            let clone = context.clone();
            tokio::spawn(async move { clone.register(thing("late", [])).await });
            cloud.until("create", "late").await;
            let release = cloud.clone();
            tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                release.release("late");
            });
            Ok(Outputs::new())
        }
    });
    up(&stack, program).await;
    assert!(world.state(&stack).has("late"));
}

#[tokio::test]
async fn text_that_is_not_utf_8_passes_through_functions_reads_transforms_and_hooks() {
    let world = World::new().await;
    let stack = world.stack("bytes").await;
    let key = || Value::bytes([0xff, 0x00]);
    world.cloud.plant("vpc-7", Properties::from([("key".to_owned(), key())]));
    let seen = Noted::new();
    let noted = seen.clone();
    let program = program(move |context| {
        let noted = noted.clone();
        async move {
            let hooked = noted.clone();
            let hook = move |step: Step| {
                hooked.note(("hook", step.new_inputs["key"].clone()));
                async { Ok(()) }
            };
            let transformed = noted.clone();
            let transform = Transform::new(move |resource: Transformed| {
                transformed.note(("transform", resource.inputs["key"].clone()));
                async { Ok(resource) }
            });
            let hooks = Hooks::default().before_create([context.hook("key", false, hook).await?]);
            let vpc = context.read("vpc-7", thing("vpc", [])).await?;
            noted.note(("read", vpc.output("key").value));
            let args = properties([("key", vpc.output("key"))]);
            let echoed = context.invoke("cloud:test:echo", args, InvokeOptions::default()).await?;
            noted.note(("invoke", echoed.output("key").value));
            let options = ResourceOptions::default().hooks(hooks).transforms([transform]);
            context.register(with("a", [("key", echoed.output("key"))], options)).await?;
            Ok(nothing())
        }
    });
    up(&stack, program).await;
    let plain = seen.all().into_iter().map(|(by, value)| (by, value.without_dependencies()));
    assert_eq!(plain.collect::<Vec<_>>(), ["read", "invoke", "transform", "hook"].map(|by| (by, key())));
    assert_eq!(world.cloud.last("create", "a").inputs["key"], key());
    let signature = json!("803fd3297a5875dc03ca845dda5d2a98");
    let state = world.state(&stack);
    let saved = json!({"4dabf18193072939515e22adb298388d": signature, "value": "/wA="});
    assert_eq!(state.of("a")["outputs"]["key"], saved);
}
