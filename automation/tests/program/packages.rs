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
