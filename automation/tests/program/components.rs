//! Components, remote components, and the providers that parts inherit.

use std::collections::BTreeSet;

use pulumi_auto::{ProgramError, ResourceArgs, ResourceOptions, program};
use serde_json::json;

use crate::support::world::World;
use crate::things::{Noted, nothing, properties, thing, up, with};

#[tokio::test]
async fn parts_are_named_after_their_component_and_stand_for_it_in_dependencies() {
    let world = World::new().await;
    let stack = world.stack("parts").await;
    let second = Noted::new();
    let noted = second.clone();
    let program = program(move |context| {
        let noted = noted.clone();
        async move {
            let inside = |parent| ResourceOptions::default().parent(parent);
            let inputs = properties([("size", 2.into())]);
            let guarded = ResourceOptions::default().retain_on_delete(true).protect(true);
            let outer = context.component("shop:index:Front", "front", guarded, inputs).await?;
            let inner = context
                .component("shop:index:Shelf", "shelf", inside(outer.clone()), Default::default())
                .await?;
            let part = context.register(with("part", [], inside(inner.clone()))).await?;
            context.register_outputs(&inner, nothing()).await?;
            context
                .register_outputs(&outer, properties([("at", part.output("address").into_secret())]))
                .await?;
            noted.note(context.register_outputs(&outer, nothing()).await);
            let depends_on = BTreeSet::from([outer.urn.clone()]);
            context.register(with("after", [], ResourceOptions::default().depends_on(depends_on))).await?;
            Ok(nothing())
        }
    });
    up(&stack, program).await;
    let state = world.state(&stack);
    assert!(state.urn("part").ends_with("shop:index:Front$shop:index:Shelf$cloud:test:Thing::part"));
    assert_eq!(state.of("part")["parent"], json!(state.urn("shelf")));
    for inherited in ["protect", "retainOnDelete"] {
        assert_eq!(state.of("part")[inherited], json!(true), "{inherited}");
    }
    assert_eq!(state.of("shelf")["parent"], json!(state.urn("front")));
    assert_eq!(state.of("front")["parent"], json!(state.urn("shop-parts")));
    assert_eq!(state.of("front")["inputs"], json!({"size": 2}));
    assert!(state.of("front")["outputs"]["at"]["ciphertext"].is_string());
    assert_eq!(state.of("after")["dependencies"], json!([state.urn("part")]));
    let urn = state.urn("front");
    assert_eq!(second.only(), Err(ProgramError::OutputsRegistered { urn }));
}

#[tokio::test]
async fn explicit_providers_manage_what_is_in_a_component_also_when_a_provider_makes_it() {
    let world = World::new().await;
    let stack = world.stack("providers").await;
    let program = program(|context| async move {
        let provider = |name: &str| ResourceArgs {
            resource_type: "pulumi:providers:cloud".to_owned(),
            name: name.to_owned(),
            inputs: properties([("region", name.into())]),
            ..Default::default()
        };
        let east = context.register(provider("east")).await?;
        let west = context.register(provider("west")).await?;
        let (to_east, to_west) = (east.as_provider(), west.as_provider());
        context.register(thing("by-default", [])).await?;
        let own = ResourceOptions::default().provider(to_west.clone());
        context.register(with("own", [], own.clone())).await?;
        let providers = to_east;
        let options = ResourceOptions::default().providers(providers);
        let group = context.component("shop:index:Group", "group", options, Default::default()).await?;
        let inside = |parent: &pulumi_auto::Resource| ResourceOptions::default().parent(parent.clone());
        let part = context.register(with("part", [], inside(&group))).await?;
        context.register(with("part-of-part", [], inside(&part))).await?;
        let stubborn = inside(&group).provider(to_west);
        context.register(with("stubborn", [], stubborn)).await?;
        let remote = ResourceArgs {
            resource_type: "cloud:test:Group".to_owned(),
            name: "remote".to_owned(),
            inputs: properties([("label", part.output("address"))]),
            options: inside(&group),
        };
        let remote = context.remote_component(remote).await?;
        context.register(thing("user", [("at", remote.output("memberAddress"))])).await?;
        context.register_outputs(&group, nothing()).await?;
        Ok(properties([("member", remote.output("memberAddress"))]))
    });
    let update = up(&stack, program).await;
    assert_eq!(update.outputs["member"], "address-of-remote-member".into());

    let state = world.state(&stack);
    let manager =
        |name: &str| state.of(name)["provider"].as_str().unwrap().rsplit_once("::").unwrap().0.to_owned();
    for name in ["part", "part-of-part", "remote-member"] {
        assert_eq!(manager(name), state.urn("east"), "{name}");
    }
    for name in ["own", "stubborn"] {
        assert_eq!(manager(name), state.urn("west"), "{name}");
    }
    assert!(manager("by-default").ends_with("::default"));
    assert_eq!(world.cloud.last("configure", "east").inputs["region"], "east".into());
    let asked = |name: &str| world.cloud.last("create", name).connection;
    assert_eq!(asked("part"), world.cloud.last("configure", "east").connection);
    assert_ne!(asked("part"), asked("own"));
    // A part made by the provider, and the one property that came from it.
    assert!(state.urn("remote-member").contains("shop:index:Group$cloud:test:Group$cloud:test:Thing"));
    assert_eq!(state.of("remote-member")["inputs"]["label"], json!("address-of-part"));
    assert_eq!(state.of("user")["propertyDependencies"]["at"], json!([state.urn("remote-member")]));
}
