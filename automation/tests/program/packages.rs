//! Provider packages that a program declares.

use std::sync::Arc;

use async_trait::async_trait;
use pulumi_auto::{
    Context, Outputs, Package, Parameterization, Program, ProgramError, ResourceArgs, ResourceOptions,
    program,
};
use serde_json::json;

use crate::support::world::World;
use crate::things::{nothing, thing, up, with};

struct Declares;

#[async_trait]
impl Program for Declares {
    async fn run(&self, context: &Context) -> Result<Outputs, ProgramError> {
        context.register(thing("plain", [])).await?;
        let parameterization = Parameterization::new("special", "2.0.0", b"for the plugin".to_vec());
        let package = cloud().parameterization(parameterization);
        let package = Some(context.package(package).await?);
        let special = ResourceArgs {
            resource_type: "special:test:Thing".to_owned(),
            name: "special".to_owned(),
            options: ResourceOptions::default().package(package),
            ..Default::default()
        };
        context.register(special).await?;
        Ok(nothing())
    }

    fn packages(&self) -> Vec<Package> {
        vec![cloud()]
    }
}

fn cloud() -> Package {
    Package::new("cloud", "1.0.0")
}

#[tokio::test]
async fn declared_packages_decide_the_default_providers_and_parameters_make_new_packages() {
    let world = World::new().await;
    let stack = world.stack("packages").await;
    up(&stack, Arc::new(Declares)).await;
    let state = world.state(&stack);
    assert!(state.has("default_1_0_0"), "{:?}", state.names());
    let manager = state.of("special")["provider"].as_str().unwrap();
    assert!(manager.contains("pulumi:providers:special::"), "{manager}");
    assert!(world.cloud.calls().contains(&"parameterize special".to_owned()));
}

struct DeclaresExtension;

#[async_trait]
impl Program for DeclaresExtension {
    async fn run(&self, context: &Context) -> Result<Outputs, ProgramError> {
        context.register(thing("plain", [])).await?;
        Ok(nothing())
    }

    fn packages(&self) -> Vec<Package> {
        vec![cloud().extension(extra())]
    }
}

fn extra() -> Parameterization {
    Parameterization::new("extra", "2.0.0", b"for the plugin".to_vec())
}

#[tokio::test]
async fn a_declared_extension_decides_no_default_provider() {
    let world = World::new().await;
    let stack = world.stack("declared").await;
    up(&stack, Arc::new(DeclaresExtension)).await;
    let state = world.state(&stack);
    assert!(state.has("default"), "{:?}", state.names());
}

/// With or without what the extension adds.
fn extended(with_extras: bool) -> Arc<dyn Program> {
    program(move |context| async move {
        let package = Some(context.package(cloud().extension(extra())).await?);
        let one = |name: &str| ResourceArgs {
            resource_type: "cloud:extra:Thing".to_owned(),
            name: name.to_owned(),
            options: ResourceOptions::default().package(package.clone()),
            ..Default::default()
        };
        for name in ["a", "b"].iter().filter(|_| with_extras) {
            context.register(one(name)).await?;
        }
        let version = ResourceOptions::default().version("1.0.0");
        context.register(with("plain", [], version)).await?;
        Ok(nothing())
    })
}

#[tokio::test]
async fn an_extension_is_told_to_the_provider_of_its_package_and_kept_as_long_as_resources_need_it() {
    let world = World::new().await;
    let stack = world.stack("extended").await;
    let told = || world.cloud.calls().iter().filter(|call| *call == "parameterize extra").count();
    up(&stack, extended(true)).await;
    assert_eq!(told(), 1, "{:?}", world.cloud.calls());
    let state = world.state(&stack);
    let reference = state.of("a")["extensionRef"].as_str().unwrap();
    assert_eq!(state.of("b")["extensionRef"], reference);
    assert_eq!(state.of("plain")["extensionRef"], json!(null));
    // It is not a provider of its own.
    assert_eq!(state.of("a")["provider"], state.of("plain")["provider"]);
    let kept = async || {
        serde_json::to_value(stack.export().await.unwrap()).unwrap()["deployment"]["extensions"].take()
    };
    let extension = json!({"name": "extra", "version": "2.0.0", "value": "Zm9yIHRoZSBwbHVnaW4="});
    assert_eq!(kept().await, json!({reference: extension}));

    // Whoever deletes them knows it from the state alone.
    up(&stack, extended(false)).await;
    assert_eq!(told(), 2, "{:?}", world.cloud.calls());
    assert_eq!(world.cloud.ids().len(), 1);
    assert_eq!(kept().await, json!(null));
}

#[tokio::test]
async fn a_version_or_a_download_address_chooses_another_default_provider() {
    let world = World::new().await;
    let stack = world.stack("versions").await;
    let program = program(|context| async move {
        let options = ResourceOptions::default()
            .version("1.0.0")
            .plugin_download_url("http://127.0.0.1:9/plugins")
            .hide_diffs(["label"]);
        context.register(with("a", [], options)).await?;
        context.register(thing("b", [])).await?;
        Ok(nothing())
    });
    up(&stack, program).await;
    let state = world.state(&stack);
    let manager = |name: &str| state.of(name)["provider"].as_str().unwrap().rsplit_once("::").unwrap().0;
    assert!(manager("b").ends_with("::default"), "{}", manager("b"));
    let own = state.0.iter().find(|resource| resource["urn"] == manager("a")).unwrap();
    assert_eq!(own["inputs"]["version"], json!("1.0.0"));
    assert_eq!(
        own["inputs"]["__internal"]["pluginDownloadURL"],
        json!("http://127.0.0.1:9/plugins"),
        "{own}"
    );
    assert_eq!(state.of("a")["hideDiff"], json!(["label"]), "{}", state.of("a"));
}
