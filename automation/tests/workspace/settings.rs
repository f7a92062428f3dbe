//! Settings, plugins, templates and the account, as this crate and the CLI see them.

use std::os::unix::fs::PermissionsExt as _;

use pulumi_auto::stack::CreateOptions;
use pulumi_auto::workspace::{InstallOptions, NewOptions, PluginSource};
use pulumi_auto::{Backend, ConfigOptions, ConfigValue, Error, FakeEngine, Workspace};
use serde_json::json;

use crate::place::{Place, up};
use crate::support::world;

#[tokio::test]
async fn the_cli_reads_the_settings_that_are_saved_and_the_other_way_round() {
    let place = Place::new().await;
    let workspace = &place.workspace;
    let mut project = workspace.project_settings().unwrap().unwrap();
    project.description = Some("it's: a #shop\nof \"two\" lines".to_owned());
    project.stack_config_dir = Some("stacks".to_owned());
    let size = json!({"type": "integer", "default": 3});
    project.config.insert("size".to_owned(), size);
    project.other["outputs"]["size"] = json!("${size}");
    workspace.save_project_settings(&project).unwrap();
    assert_eq!(workspace.project_settings().unwrap().unwrap(), project);
    let stack = workspace.create_stack("dev").await.unwrap();
    assert!(workspace.directory().join("stacks/Pulumi.dev.yaml").exists(), "the CLI found the folder");

    let plain = ConfigOptions::default();
    stack.set_config("pin", ConfigValue::secret("hush"), &plain).await.unwrap();
    let path = workspace.stack_settings_path("dev");
    let commented = format!("# Of dev.\n{}later: true # unknown\n", std::fs::read_to_string(&path).unwrap());
    std::fs::write(&path, commented).unwrap();
    let mut settings = workspace.stack_settings("dev").unwrap().unwrap();
    assert!(settings.encryption_salt.as_ref().unwrap().starts_with("v1:"));
    settings.config.insert("shop:size".to_owned(), json!(7));
    settings.config.insert("shop:odd".to_owned(), json!("yes\u{85}\u{2028}\u{7f}: - #"));
    workspace.save_stack_settings("dev", &settings).unwrap();
    let text = place.settings("dev");
    assert!(text.starts_with("# Of dev.\n") && text.ends_with("later: true # unknown\n"), "{text}");
    let config = stack.get_all_config(&plain).await.unwrap();
    assert_eq!(config["shop:pin"], ConfigValue::secret("hush"));
    assert_eq!(config["shop:odd"], "yes\u{85}\u{2028}\u{7f}: - #".into());
    up(&stack).await;
    assert_eq!(stack.outputs().await.unwrap()["size"], 7.into());
    stack.remove().await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_folder_knows_its_user_and_refuses_what_only_the_cloud_has() {
    let place = Place::new().await;
    let workspace = &place.workspace;
    let me = workspace.whoami().await.unwrap();
    assert!(!me.user.is_empty() && me.organizations.is_empty() && me.token_information.is_none());
    assert_eq!(me.url, workspace.backend().url());
    let stack = workspace.create_stack("dev").await.unwrap();
    for refused in [
        workspace.default_organization().await.map(drop),
        workspace.set_default_organization("acme").await,
        stack.environments().await.map(drop),
        stack.add_environments(&["a/b"]).await,
        stack.remove_environment("a/b").await,
        workspace.stack("x").create_with(&CreateOptions::default().teams(["ops"])).await,
    ] {
        assert!(matches!(&refused, Err(Error::Command { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_plugin_is_installed_from_a_file_listed_and_removed() {
    let place = Place::new().await;
    let workspace = &place.workspace;
    assert!(workspace.plugins(false).await.unwrap().is_empty());
    let program = place.folder().join("pulumi-resource-thing");
    std::fs::write(&program, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let thing = PluginSource::resource("thing", "v1.2.3").file(program);
    workspace.install_plugin(&thing).await.unwrap();
    let plugins = workspace.plugins(false).await.unwrap();
    assert_eq!(plugins.len(), 1);
    let installed = (plugins[0].name.as_str(), plugins[0].kind.as_str(), plugins[0].version.as_str());
    assert_eq!(installed, ("thing", "resource", "1.2.3"));
    let used = workspace.plugins(true).await.unwrap();
    assert!(used.iter().all(|plugin| plugin.name == "yaml"), "the project uses its language only: {used:?}");
    workspace.remove_plugin("thing", Some("1.2.3")).await.unwrap();
    workspace.remove_plugin("thing", None).await.unwrap();
    assert!(workspace.plugins(false).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_project_is_made_from_a_template_and_installed() {
    let place = Place::new().await;
    let workspace = &place.workspace;
    let template = place.folder().join("template");
    std::fs::create_dir(&template).unwrap();
    std::fs::write(
        template.join("Pulumi.yaml"),
        "name: ${PROJECT}\ndescription: ${DESCRIPTION}\nruntime: yaml\ntemplate:\n  description: A template\n",
    )
    .unwrap();
    let made = place.folder().join("made");
    let options = NewOptions::default()
        .template(template.display().to_string())
        .name("made")
        .description("From a template")
        .dir(made.clone())
        .stack("dev")
        .config(["made:a=1"])
        .offline(true);
    workspace.new_project(&options).await.unwrap();
    let at = workspace.place();
    let opened = Workspace::local(world::cli().await, &made, &at.home, at.backend.clone()).unwrap();
    let opened = opened.with_passphrase_file(place.folder().join("passphrase"));
    assert_eq!(opened.project(), "made");
    let settings = opened.project_settings().unwrap().unwrap();
    assert_eq!(settings.description.as_deref(), Some("From a template"));
    assert_eq!(
        opened.stack("dev").get_config("a", &ConfigOptions::default()).await.unwrap(),
        Some("1".into())
    );
    opened.install(&InstallOptions::default()).await.unwrap();
}

#[test]
fn a_folder_without_a_project_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let state = Backend::Folder(folder.path().join("state"));
    let opened = Workspace::local(FakeEngine::new(), folder.path(), folder.path().join("home"), state);
    assert!(matches!(opened, Err(Error::Settings { .. })));
}
