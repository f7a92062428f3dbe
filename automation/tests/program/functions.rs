//! Functions and methods of providers, reads, and messages.

use std::collections::BTreeSet;

use pulumi_auto::{
    EngineEvent, EventKind, Input, InvokeOptions, Options, ProgramError, ResourceArgs, ResourceOptions,
    Severity, SourcePosition, Value, program,
};
use serde_json::json;
use tokio::sync::mpsc;

use crate::support::cloud::{Cloud, Properties};
use crate::support::world::World;
use crate::things::{Noted, nothing, properties, thing, up, up_fails, with};

fn lookup(name: impl Into<Input>) -> std::collections::BTreeMap<String, Input> {
    properties([("name", name.into())])
}

fn provider(name: &str) -> ResourceArgs {
    let (resource_type, name) = ("pulumi:providers:cloud".to_owned(), name.to_owned());
    ResourceArgs { resource_type, name, ..ResourceArgs::default() }
}

fn parented(parent: &pulumi_auto::Resource) -> ResourceOptions {
    ResourceOptions::default().parent(parent.clone())
}

/// Names of the provider instances that this was asked of, in order.
fn asked(cloud: &Cloud, call: &str, name: &str) -> Vec<String> {
    let log = cloud.log();
    let calls = log.iter().filter(|seen| seen.call == call && seen.name == name);
    calls
        .map(|seen| {
            let same = |other: &&crate::support::cloud::Seen| {
                other.call == "configure" && other.connection == seen.connection
            };
            log.iter().find(same).unwrap().name.clone()
        })
        .collect()
}

#[tokio::test]
async fn functions_and_methods_return_values_or_typed_errors() {
    let world = World::new().await;
    let stack = world.stack("functions").await;
    let errors = Noted::new();
    let noted = errors.clone();
    let program = program(move |context| {
        let noted = noted.clone();
        async move {
            let plain = InvokeOptions::default;
            let a = context.register(thing("a", [])).await?;
            let found = context.invoke("cloud:test:lookup", lookup(a.output("address")), plain()).await?;
            let secret = lookup(Value::secret("hidden"));
            let echoed = context.invoke("cloud:test:echo", secret, plain()).await?;
            for name in ["missing", "broken", "away"] {
                noted.note(context.invoke("cloud:test:lookup", lookup(name), plain()).await.map(drop));
            }
            let greet = "cloud:test:Thing/greet";
            let hello = context.call(greet, Some(&a), properties([("to", "you".into())]), plain()).await?;
            let nobody = properties([("to", "nobody".into())]);
            noted.note(context.call(greet, Some(&a), nobody, plain()).await.map(drop));
            context
                .register(thing("b", [("found", found.output("address")), ("said", hello.output("text"))]))
                .await?;
            Ok(properties([("echoed", echoed.output("name"))]))
        }
    });
    stack.preview(program.clone()).await.unwrap();
    // The address is unknown, so there is nothing to look up yet.
    let lookups = world.cloud.log().into_iter().filter(|seen| seen.name == "cloud:test:lookup");
    assert_eq!(
        lookups.map(|seen| seen.inputs["name"].clone()).collect::<Vec<_>>(),
        ["missing".into(), "broken".into(), "away".into()]
    );
    let previewed = world.cloud.last("check", "b").inputs;
    assert_eq!((&previewed["found"], &previewed["said"]), (&Value::Unknown, &"hello you".into()));

    let update = up(&stack, program).await;
    assert_eq!(update.outputs["echoed"], Value::secret("hidden"));
    let state = world.state(&stack);
    let b = state.of("b");
    assert_eq!(b["inputs"]["found"], json!("address-of-address-of-a"));
    assert_eq!(b["inputs"]["said"], json!("hello you"));
    for property in ["found", "said"] {
        assert_eq!(b["propertyDependencies"][property], json!([state.urn("a")]), "{property}");
    }
    let Value::Resource(of) =
        world.cloud.last("call", "cloud:test:Thing/greet").inputs["__self__"].clone().without_dependencies()
    else {
        panic!("no reference")
    };
    assert_eq!((of.urn.as_str(), of.id), (state.urn("a").as_str(), Some(Box::new("a-1".into()))));

    let [missing, broken, away, nobody] = &errors.all()[4..] else { panic!("{:?}", errors.all()) };
    let Err(ProgramError::FunctionFailed { token, failures }) = missing else { panic!("{missing:?}") };
    assert_eq!((token.as_str(), failures[0].reason.as_str()), ("cloud:test:lookup", "no such name"));
    assert!(
        matches!(broken, Err(ProgramError::Refused(why)) if why.contains("the lookup is broken")),
        "{broken:?}"
    );
    assert!(matches!(away, Err(ProgramError::Refused(why)) if why.contains("out for lunch")), "{away:?}");
    assert!(matches!(nobody, Err(ProgramError::FunctionFailed { .. })), "{nobody:?}");
}

#[tokio::test]
async fn what_exists_is_read_and_left_alone() {
    let world = World::new().await;
    let stack = world.stack("reads").await;
    world.cloud.plant("vpc-7", Properties::from([("label".to_owned(), "found".into())]));
    let read = |id: &'static str| {
        program(move |context| async move {
            let vpc: ResourceArgs = thing("vpc", []);
            let vpc = context.read(id, vpc).await?;
            context.register(thing("user", [("label", vpc.output("label")), ("vpc", vpc.id())])).await?;
            Ok(nothing())
        })
    };
    up(&stack, read("vpc-7")).await;
    let state = world.state(&stack);
    assert_eq!(state.of("vpc")["external"], json!(true));
    assert_eq!(state.of("user")["inputs"], json!({"label": "found", "vpc": "vpc-7"}));
    assert_eq!(state.of("user")["dependencies"], json!([state.urn("vpc")]));
    crate::things::destroy(&stack).await;
    assert_eq!(world.cloud.ids(), ["vpc-7"]);
    let error = up_fails(&stack, read("vpc-8")).await;
    assert!(error.to_string().contains("vpc-8"), "{error}");
}

#[tokio::test]
async fn a_read_and_a_method_are_known_by_their_place_in_the_source() {
    let world = World::new().await;
    let stack = world.stack("places").await;
    world.cloud.plant("vpc-7", Properties::new());
    let source = world.workspace.directory().join("main.rs").display().to_string();
    let program = program(move |context| {
        let place = |line| SourcePosition::new(&source, line, 0);
        let (read, made) = (place(3), place(4));
        async move {
            let options = ResourceOptions::default().source_position(read);
            context.read("vpc-7", with("vpc", [], options)).await?;
            for place in [None, Some(made)] {
                let options = InvokeOptions::default().source_position(place);
                context.invoke("cloud:test:echo", nothing(), options.clone()).await?;
                context.call("cloud:test:Thing/greet", None, nothing(), options).await?;
            }
            Ok(nothing())
        }
    });
    up(&stack, program).await;
    let state = world.state(&stack);
    let place = json!("project:///main.rs#3");
    assert_eq!(state.of("vpc")["sourcePosition"], place, "{}", state.of("vpc"));
    assert_eq!(state.of("vpc")["stackTrace"], json!([{"sourcePosition": place}]));
    let calls = world.cloud.log().into_iter().filter(|seen| seen.call == "call");
    assert_eq!(calls.map(|seen| seen.traced).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn functions_and_methods_ask_the_provider_that_their_options_name() {
    let world = World::new().await;
    let stack = world.stack("asked").await;
    let program = program(|context| async move {
        let (east, west) =
            (context.register(provider("east")).await?, context.register(provider("west")).await?);
        let providers = east.as_provider();
        let options = ResourceOptions::default().providers(providers);
        let group = context.component("shop:index:Group", "group", options, nothing()).await?;
        let part = context.register(with("part", [], parented(&group))).await?;
        let other = context.register(thing("other", [])).await?;
        let inside = || InvokeOptions::default().parent(group.clone());
        let explicit = || inside().provider(west.as_provider());
        let other_default =
            || InvokeOptions::default().version("1.0.0").plugin_download_url("http://127.0.0.1:9/plugins");
        let (echo, greet) = ("cloud:test:echo", "cloud:test:Thing/greet");
        for options in [InvokeOptions::default(), inside(), explicit(), other_default()] {
            context.invoke(echo, nothing(), options).await?;
        }
        for (of, options) in [
            (Some(&other), InvokeOptions::default()),
            (Some(&part), InvokeOptions::default()),
            (Some(&other), inside()),
            (Some(&part), explicit()),
            // A resource's own provider counts before any default.
            (Some(&other), other_default()),
            (None, other_default()),
        ] {
            context.call(greet, of, properties([("to", "you".into())]), options).await?;
        }
        context.register_outputs(&group, nothing()).await?;
        Ok(nothing())
    });
    up(&stack, program).await;
    let state = world.state(&stack);
    let invoked = asked(&world.cloud, "invoke", "cloud:test:echo");
    assert_eq!(invoked[..3], ["default", "east", "west"]);
    let called = asked(&world.cloud, "call", "cloud:test:Thing/greet");
    assert_eq!(called[..5], ["default", "east", "east", "west", "default"]);
    for other in [&invoked[3], &called[5]] {
        let inputs = &state.of(other)["inputs"];
        assert_eq!(inputs["version"], json!("1.0.0"), "{inputs}");
        assert_eq!(inputs["__internal"]["pluginDownloadURL"], json!("http://127.0.0.1:9/plugins"));
    }
}

#[tokio::test]
async fn what_functions_and_methods_return_comes_from_what_their_options_name() {
    let world = World::new().await;
    let stack = world.stack("comes-from").await;
    let program = program(|context| async move {
        let a = context.register(thing("a", [])).await?;
        let b = context.register(thing("b", [])).await?;
        let after = || InvokeOptions::default().depends_on(BTreeSet::from([a.urn.clone()]));
        let found = context.invoke("cloud:test:lookup", lookup("x"), after()).await?;
        let to = properties([("to", "you".into())]);
        let hello = context.call("cloud:test:Thing/greet", Some(&b), to, after()).await?;
        let inputs = [("found", found.output("address")), ("said", hello.output("text"))];
        context.register(thing("c", inputs)).await?;
        Ok(nothing())
    });
    up(&stack, program).await;
    let state = world.state(&stack);
    let c = state.of("c");
    let (a, b) = (state.urn("a"), state.urn("b"));
    assert_eq!(c["propertyDependencies"]["found"], json!([a]), "{c}");
    // The engine keeps them as a set, and writes that in any order.
    let said: BTreeSet<&str> =
        c["propertyDependencies"]["said"].as_array().unwrap().iter().filter_map(|urn| urn.as_str()).collect();
    assert_eq!(said, BTreeSet::from([a.as_str(), b.as_str()]), "{c}");
}

#[tokio::test]
async fn a_function_is_not_called_before_what_it_depends_on_exists() {
    let world = World::new().await;
    let stack = world.stack("depends").await;
    let program = program(|context| async move {
        let group =
            context.component("shop:index:Group", "group", ResourceOptions::default(), nothing()).await?;
        context.register(with("inside", [], parented(&group))).await?;
        let a = context.register(thing("a", [])).await?;
        for (name, urn) in [("direct", &a.urn), ("whole", &group.urn)] {
            let options = InvokeOptions::default().depends_on(BTreeSet::from([urn.clone()]));
            let found = context.invoke("cloud:test:lookup", lookup("x"), options).await?;
            context.register(thing(name, [("found", found.output("address"))])).await?;
        }
        Ok(nothing())
    });
    let lookups = || world.cloud.log().iter().filter(|seen| seen.name == "cloud:test:lookup").count();
    stack.preview(program.clone()).await.unwrap();
    assert_eq!(lookups(), 0, "there is nothing to look at yet");
    for name in ["direct", "whole"] {
        assert_eq!(world.cloud.last("check", name).inputs["found"], Value::Unknown);
    }
    up(&stack, program.clone()).await;
    assert_eq!(lookups(), 2);
    assert_eq!(world.state(&stack).of("whole")["inputs"]["found"], json!("address-of-x"));
    stack.preview(program).await.unwrap();
    assert_eq!(lookups(), 4, "it exists now, also for a preview");
}

#[tokio::test]
async fn a_read_asks_the_provider_of_its_options_or_of_its_parent() {
    let world = World::new().await;
    let stack = world.stack("read-by").await;
    for id in ["vpc-1", "vpc-2", "vpc-3"] {
        world.cloud.plant(id, Properties::from([("label".to_owned(), id.into())]));
    }
    let program = program(|context| async move {
        let (east, west) =
            (context.register(provider("east")).await?, context.register(provider("west")).await?);
        let providers = east.as_provider();
        let options = ResourceOptions::default().providers(providers);
        let group = context.component("shop:index:Group", "group", options, nothing()).await?;
        let explicit = parented(&group).provider(west.as_provider());
        context.read("vpc-1", thing("plain", [])).await?;
        context.read("vpc-2", with("inside", [], parented(&group))).await?;
        let own = context.read("vpc-3", with("own", [], explicit)).await?;
        // What is in it has the same providers.
        context.register(with("part", [], parented(&own))).await?;
        context.register_outputs(&group, nothing()).await?;
        Ok(nothing())
    });
    up(&stack, program).await;
    for (name, id, by) in
        [("plain", "vpc-1", "default"), ("inside", "vpc-2", "east"), ("own", "vpc-3", "west")]
    {
        assert_eq!(world.cloud.last("read", name).id, id);
        assert_eq!(asked(&world.cloud, "read", name), [by], "{name}");
    }
    assert_eq!(asked(&world.cloud, "create", "part").last().unwrap(), "west");
    let state = world.state(&stack);
    assert!(state.urn("inside").contains("shop:index:Group$cloud:test:Thing::"), "{}", state.urn("inside"));
    assert_eq!(state.of("own")["parent"], json!(state.urn("group")));
}

#[tokio::test]
async fn messages_arrive_as_diagnostics_and_an_error_makes_the_operation_fail() {
    let world = World::new().await;
    let stack = world.stack("messages").await;
    let program = program(|context| async move {
        let a = context.register(thing("a", [])).await?;
        context.log(Severity::Info, None, "for all").await?;
        context.log(Severity::Warning, Some(&a.urn), "about a").await?;
        context.log(Severity::Error, None, "no quota for this").await?;
        Err(ProgramError::Bail)
    });
    let (events, mut received) = mpsc::channel::<EngineEvent>(4096);
    let options = Options::default().events(events);
    let error = stack.up(program).with(&options).await.unwrap_err();
    assert!(error.to_string().contains("no quota for this"), "{error}");
    assert!(!error.to_string().contains("gave up"), "{error}");
    drop(options);
    let mut seen = Vec::new();
    while let Some(event) = received.recv().await {
        if let EventKind::Diagnostic(diagnostic) = event.kind {
            seen.push((diagnostic.severity, diagnostic.message.trim().to_owned(), diagnostic.urn));
        }
    }
    let of = |text: &str| seen.iter().find(|(_, message, _)| message.contains(text)).cloned().unwrap();
    assert_eq!(of("for all").0, "info");
    let about = of("about a");
    assert_eq!((about.0.as_str(), about.2), ("warning", world.state(&stack).urn("a")));
    assert_eq!(of("no quota").0, "error");
}
