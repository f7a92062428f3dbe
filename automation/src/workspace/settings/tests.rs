use serde_json::json;

use super::*;
use crate::recorder::Recorder;

fn write(workspace: &Workspace, name: &str, text: &str) {
    std::fs::write(workspace.directory().join(name), text).unwrap();
}

fn text(workspace: &Workspace, name: &str) -> String {
    std::fs::read_to_string(workspace.directory().join(name)).unwrap()
}

const PROJECT: &str = "\
# Ours.
name: shop
runtime:
  name: nodejs # the host
  options:
    typescript: false
backend: {url: \"file://~\", later: 1}
plugins:
  providers:
    - name: random
      path: ../bin
";

#[test]
fn a_projects_settings_survive_a_change_with_unknown_keys_and_comments() {
    let workspace = Recorder::default().workspace();
    write(&workspace, "Pulumi.yaml", PROJECT);
    let mut settings = workspace.project_settings().unwrap().unwrap();
    let Some(Runtime::Detailed { name, options }) = &settings.runtime else { panic!() };
    assert_eq!((name.as_str(), &options["typescript"]), ("nodejs", &json!(false)));
    assert_eq!(settings.backend.as_ref().unwrap().other["later"], json!(1));
    assert_eq!(settings.other["plugins"]["providers"][0]["name"], json!("random"));
    workspace.save_project_settings(&settings).unwrap();
    assert_eq!(text(&workspace, "Pulumi.yaml"), PROJECT);
    settings.description = Some("it's: a #shop".to_owned());
    workspace.save_project_settings(&settings).unwrap();
    assert_eq!(text(&workspace, "Pulumi.yaml"), PROJECT.to_owned() + "description: \"it's: a #shop\"\n");
}

#[test]
fn a_stacks_settings_have_pulumis_own_keys() {
    let workspace = Recorder::default().workspace();
    assert_eq!(workspace.stack_settings("dev").unwrap(), None);
    let written = "\
secretsprovider: awskms://a
encryptedkey: KEY
encryptionsalt: v1:x:y
config:
  shop:pin:
    secure: v1:abc
  shop:list: [1, \"a\"]
environment:
  - base # first
later: true
";
    write(&workspace, "Pulumi.dev.yaml", written);
    let mut settings = workspace.stack_settings("organization/shop/dev").unwrap().unwrap();
    assert_eq!(settings.secrets_provider.as_deref(), Some("awskms://a"));
    assert_eq!(settings.encrypted_key.as_deref(), Some("KEY"));
    assert_eq!(settings.encryption_salt.as_deref(), Some("v1:x:y"));
    assert_eq!(settings.config["shop:pin"], json!({"secure": "v1:abc"}));
    assert_eq!(settings.environment, Some(json!(["base"])));
    assert_eq!(settings.other["later"], json!(true));
    assert!(!format!("{settings:?}").contains("KEY"));
    settings.encrypted_key = None;
    workspace.save_stack_settings("dev", &settings).unwrap();
    assert_eq!(text(&workspace, "Pulumi.dev.yaml"), written.replace("encryptedkey: KEY\n", ""));
}

#[test]
fn json_and_yml_files_are_found_and_stay_what_they_are() {
    let workspace = Recorder::default().workspace();
    std::fs::remove_file(workspace.directory().join("Pulumi.yaml")).unwrap();
    write(&workspace, "Pulumi.json", r#"{"name": "shop", "runtime": "yaml"}"#);
    write(&workspace, "Pulumi.dev.yml", "config:\n  a: b\n");
    let mut project = workspace.project_settings().unwrap().unwrap();
    project.author = Some("me".to_owned());
    workspace.save_project_settings(&project).unwrap();
    let saved: Json = serde_json::from_str(&text(&workspace, "Pulumi.json")).unwrap();
    assert_eq!(saved, json!({"name": "shop", "runtime": "yaml", "author": "me"}));
    assert_eq!(workspace.stack_settings("dev").unwrap().unwrap().config["a"], json!("b"));
    assert!(!workspace.directory().join("Pulumi.yaml").exists());
}

#[test]
fn stacks_settings_can_be_in_a_folder_of_their_own() {
    let workspace = Recorder::default().workspace();
    write(&workspace, "Pulumi.yaml", "name: shop\nruntime: yaml\nstackConfigDir: stacks\n");
    workspace.save_stack_settings("dev", &StackSettings::default()).unwrap();
    assert!(workspace.directory().join("stacks/Pulumi.dev.yaml").exists());
}

#[test]
fn a_broken_file_is_named_and_a_project_without_one_is_refused() {
    let workspace = Recorder::default().workspace();
    for broken in ["name: [", "runtime: yaml\n", "- a\n"] {
        write(&workspace, "Pulumi.yaml", broken);
        let error = workspace.project_settings().unwrap_err();
        assert!(error.to_string().contains("Pulumi.yaml"), "{error}");
    }
    let place = workspace.place().clone();
    let empty = tempfile::tempdir().unwrap();
    let open =
        |folder: &Path| Workspace::local(Recorder::default(), folder, &place.home, place.backend.clone());
    assert!(matches!(open(empty.path()), Err(Error::Settings { .. })));
    std::fs::write(empty.path().join("Pulumi.yml"), "name: other\nruntime: yaml\n").unwrap();
    assert_eq!(open(empty.path()).unwrap().project(), "other");
}

#[test]
fn an_inline_project_reads_settings_that_are_there_and_never_writes_them() {
    let workspace = Recorder::default().workspace();
    let place = workspace.place().clone();
    let again = |name: &str| {
        let (directory, home) = (place.directory.clone(), place.home.clone());
        Workspace::inline(Recorder::default(), name, directory, home, place.backend.clone())
    };
    let own = "name: shop # mine\nruntime: nodejs\ndescription: A shop\nstackConfigDir: conf\n";
    write(&workspace, "Pulumi.yaml", own);
    let path = again("shop").unwrap().stack_settings_path("dev");
    assert!(path.ends_with("conf/Pulumi.dev.yaml"), "{path:?}");
    let error = again("other").unwrap_err();
    let Error::Settings { path, message } = &error else { panic!("{error:?}") };
    assert!(
        path.ends_with("Pulumi.yaml") && message.contains("shop") && message.contains("other"),
        "{error}"
    );
    assert_eq!(text(&workspace, "Pulumi.yaml"), own);
    for broken in ["name: [", "runtime: yaml\n", ""] {
        write(&workspace, "Pulumi.yaml", broken);
        let error = again("shop").unwrap_err();
        assert!(matches!(error, Error::Settings { .. }), "{broken:?}: {error:?}");
        assert_eq!(text(&workspace, "Pulumi.yaml"), broken);
    }
    std::fs::remove_file(workspace.directory().join("Pulumi.yaml")).unwrap();
    std::fs::create_dir(workspace.directory().join("Pulumi.yaml")).unwrap();
    let error = again("shop").unwrap_err();
    assert!(matches!(error, Error::Settings { .. }), "{error:?}");
}
