//! Secrets stay where they belong: in no argument, in no file, and readable only with the passphrase.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use pulumi_auto::stack::SecretsProvider;
use pulumi_auto::{Cli, ConfigOptions, ConfigValue, Error, Passphrase, Value};
use serde_json::json;

use crate::place::{PROGRAM, Place, up};
use crate::support::world;

/// The CLI behind a script that writes down the arguments of every run.
async fn listening_cli(folder: &Path) -> Cli {
    let real = world::cli().await;
    let real = real.path();
    let script = format!(
        "#!/bin/sh\nPATH={}:$PATH\nprintf '%s\\n' \"$*\" >> {}/argv\ntr '\\0' '\\n' < /proc/self/environ >> {}/environ\n\
         exec {} \"$@\"\n",
        real.parent().unwrap().display(),
        folder.display(),
        folder.display(),
        real.display()
    );
    let path = folder.join("pulumi");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    Cli::open(path).await.unwrap()
}

#[tokio::test]
async fn no_secret_is_in_an_argument_the_environment_or_a_file() {
    let ears = tempfile::tempdir().unwrap();
    let place = Place::with_engine(listening_cli(ears.path()).await, PROGRAM);
    let stack = place.workspace.create_stack("dev").await.unwrap();
    let plain = ConfigOptions::default();
    let entries = BTreeMap::from([
        ("a".to_owned(), ConfigValue::secret("sesame-a")),
        ("b".to_owned(), ConfigValue::secret_object(json!({"c": "sesame-c"}))),
        ("open".to_owned(), "visible".into()),
    ]);
    stack.set_all_config(&entries, &plain).await.unwrap();
    stack.set_config("pin", ConfigValue::secret("sesame-pin"), &plain).await.unwrap();
    let json = r#"{"shop:d": {"value": "sesame-d", "secret": true}}"#;
    stack.set_all_config_json(json, &plain).await.unwrap();
    up(&stack).await;
    assert_eq!(stack.outputs().await.unwrap()["pin"], Value::secret("sesame-pin"));
    let state = stack.export_with_secrets().await.unwrap();
    stack.import(&state).await.unwrap();
    let phrase = place.folder().join("new");
    std::fs::write(&phrase, "sesame-phrase").unwrap();
    stack.change_secrets_provider(&SecretsProvider::Passphrase(phrase.clone())).await.unwrap();
    std::fs::remove_file(phrase).unwrap();

    for heard in ["argv", "environ"] {
        let heard = std::fs::read_to_string(ears.path().join(heard)).unwrap();
        assert!(!heard.contains("sesame") && !heard.contains("correct horse"), "{heard}");
    }
    assert!(std::fs::read_to_string(ears.path().join("argv")).unwrap().contains("visible"), "it does listen");
    std::fs::remove_file(place.folder().join("passphrase")).unwrap();
    let mut folders = vec![place.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                assert!(!String::from_utf8_lossy(&bytes).contains("sesame"), "{}", path.display());
            }
        }
    }
}

#[tokio::test]
async fn a_changed_passphrase_is_the_only_one_that_opens_the_stack() {
    let place = Place::new().await;
    let stack = place.workspace.create_stack("dev").await.unwrap();
    let plain = ConfigOptions::default();
    stack.set_config("pin", ConfigValue::secret("hush"), &plain).await.unwrap();
    up(&stack).await;
    let phrase = place.folder().join("new");
    std::fs::write(&phrase, "battery staple\n").unwrap();
    let changed = stack.change_secrets_provider(&SecretsProvider::Passphrase(phrase.clone())).await.unwrap();
    assert_eq!(changed.workspace().place().passphrase, Passphrase::File(phrase));
    assert_eq!(changed.outputs().await.unwrap()["pin"], Value::secret("hush"));
    assert_eq!(changed.get_config("pin", &plain).await.unwrap(), Some(ConfigValue::secret("hush")));
    let error = stack.get_config("pin", &plain).await.unwrap_err();
    assert!(matches!(error, Error::Secrets { .. }), "{error}");

    let open = changed.change_secrets_provider(&SecretsProvider::EmptyPassphrase).await.unwrap();
    assert_eq!(open.outputs().await.unwrap()["pin"], Value::secret("hush"));
    let error = changed.export_with_secrets().await.unwrap_err();
    assert!(matches!(error, Error::Secrets { .. }), "{error}");
}

#[tokio::test]
async fn a_change_that_fails_half_way_leaves_the_stack_as_it_was() {
    let place = Place::new().await;
    let stack = place.workspace.create_stack("dev").await.unwrap();
    let plain = ConfigOptions::default();
    stack.set_config("pin", ConfigValue::secret("hush"), &plain).await.unwrap();
    up(&stack).await;
    let good = stack.export().await.unwrap();
    // The settings can be changed, but the state cannot be read: its secrets have another passphrase.
    let (elsewhere, theirs) = (Place::new().await, place.folder().join("theirs"));
    std::fs::write(&theirs, "staple battery").unwrap();
    let theirs = |place: &Place| place.workspace.clone().with_passphrase_file(&theirs).stack("dev");
    theirs(&elsewhere).create().await.unwrap();
    up(&theirs(&elsewhere)).await;
    let foreign = theirs(&elsewhere).export().await.unwrap();
    theirs(&place).import(&foreign).await.unwrap();
    let phrase = place.folder().join("new");
    std::fs::write(&phrase, "battery staple").unwrap();
    let before = place.settings("dev");
    let provider = SecretsProvider::Passphrase(phrase);
    let error = stack.change_secrets_provider(&provider).await.unwrap_err();
    assert!(matches!(error, Error::Secrets { .. }), "{error:?}");
    assert_eq!(place.settings("dev"), before, "{error}");
    assert_eq!(stack.get_config("pin", &plain).await.unwrap(), Some(ConfigValue::secret("hush")));
    stack.import(&good).await.unwrap();
    let changed = stack.change_secrets_provider(&provider).await.unwrap();
    assert_ne!(place.settings("dev"), before);
    assert_eq!(changed.outputs().await.unwrap()["pin"], Value::secret("hush"));
}
