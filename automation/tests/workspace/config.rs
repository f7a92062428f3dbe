//! Configuration reads back as it was written, whatever it looks like.

use std::collections::BTreeMap;

use pulumi_auto::{ConfigOptions, ConfigValue};
use serde_json::json;

use crate::place::{Place, up};

fn path() -> ConfigOptions {
    ConfigOptions::default().path(true)
}

#[tokio::test]
async fn any_text_round_trips_as_a_plain_value_and_as_a_secret() {
    let place = Place::new().await;
    let stack = place.workspace.create_stack("dev").await.unwrap();
    let plain = ConfigOptions::default();
    // Through one `set-all` and through the standard input: keys like flags, values like flags.
    let texts = [
        ("empty", ""),
        ("-dash", "-value"),
        ("--secret", "--plaintext"),
        ("spaces", "  both ends  "),
        ("lines", "one\n\ntwo\n\n"),
        ("crlf", "one\r\ntwo"),
        ("unicode", "ключ 🔑 \u{2028}\u{85}"),
        ("yaml", "yes"),
        ("number", "007"),
        ("quotes", "\"'`${x}\\"),
        ("json", "{\"a\": 1}"),
        ("token", "AKIAIOSFODNN7EXAMPLEAKIAIOSFODNN7EXAMPLE"),
        ("a.b", "dotted"),
        ("a=b", "equals"),
    ];
    let mut entries: BTreeMap<String, ConfigValue> =
        texts.iter().map(|(key, text)| ((*key).to_owned(), (*text).into())).collect();
    stack.set_all_config(&entries, &plain).await.unwrap();
    for (key, text) in [("secret-lines", "one\n\n"), ("-secret", "-x"), ("secret-empty", "")] {
        entries.insert(key.to_owned(), ConfigValue::secret(text));
        stack.set_config(key, ConfigValue::secret(text), &plain).await.unwrap();
    }
    stack.set_config("alone", "-alone\n", &plain).await.unwrap();
    entries.insert("alone".to_owned(), "-alone\n".into());
    entries.insert("pin".to_owned(), "none".into());
    let all = stack.get_all_config(&plain).await.unwrap();
    let expected: BTreeMap<_, _> =
        entries.into_iter().map(|(key, value)| (format!("shop:{key}"), value)).collect();
    assert_eq!(all, expected);
    let settings = place.workspace.stack_settings("dev").unwrap().unwrap();
    assert_eq!(settings.config["shop:number"], json!("007"), "our reader agrees with the CLI");
    assert_eq!(settings.config["shop:unicode"], json!("ключ 🔑 \u{2028}\u{85}"));

    assert_eq!(stack.get_config("--secret", &plain).await.unwrap(), Some("--plaintext".into()));
    assert_eq!(stack.get_config("-secret", &plain).await.unwrap(), Some(ConfigValue::secret("-x")));
    assert_eq!(stack.get_config("absent", &plain).await.unwrap(), None);
    assert!(stack.get_config("a:b:c", &plain).await.is_err());
    stack.remove_config("--secret", &plain).await.unwrap();
    stack.remove_all_config(&["-dash", "empty"], &plain).await.unwrap();
    stack.remove_config("absent", &plain).await.unwrap();
    assert_eq!(stack.get_all_config(&plain).await.unwrap().len(), expected.len() - 3);
}

#[tokio::test]
async fn paths_reach_into_maps_and_lists_also_for_secrets() {
    let place = Place::new().await;
    let stack = place.workspace.create_stack("dev").await.unwrap();
    stack.set_config("outer.inner", "-x", &path()).await.unwrap();
    stack.set_config("outer.pin", ConfigValue::secret("hush"), &path()).await.unwrap();
    let items = BTreeMap::from([("list[0]".to_owned(), "a".into()), ("list[1]".to_owned(), "true".into())]);
    stack.set_all_config(&items, &path()).await.unwrap();
    assert_eq!(stack.get_config("outer.inner", &path()).await.unwrap(), Some("-x".into()));
    assert_eq!(stack.get_config("outer.absent", &path()).await.unwrap(), None);
    let pin = stack.get_config("outer.pin", &path()).await.unwrap();
    assert_eq!(pin, Some(ConfigValue::secret("hush")));
    let all = stack.get_all_config(&ConfigOptions::default()).await.unwrap();
    assert_eq!(all["shop:outer"].object, Some(json!({"inner": "-x", "pin": "hush"})));
    assert!(all["shop:outer"].secret);
    assert_eq!(all["shop:list"].object, Some(json!(["a", true])));
    stack.remove_config("outer.pin", &path()).await.unwrap();
    stack.remove_all_config(&["list[1]"], &path()).await.unwrap();
    let all = stack.get_all_config(&ConfigOptions::default()).await.unwrap();
    assert_eq!(all["shop:outer"], ConfigValue::object(json!({"inner": "-x"})));
    assert_eq!(all["shop:list"], ConfigValue::object(json!(["a"])));
}

#[tokio::test]
async fn what_one_stack_prints_sets_another() {
    let place = Place::new().await;
    let (from, to) = (
        place.workspace.create_stack("from").await.unwrap(),
        place.workspace.create_stack("to").await.unwrap(),
    );
    let plain = ConfigOptions::default();
    let entries = BTreeMap::from([
        ("pin".to_owned(), ConfigValue::secret("hush")),
        ("map".to_owned(), ConfigValue::object(json!({"a": [1, true, "x"]}))),
        ("hidden".to_owned(), ConfigValue::secret_object(json!({"a.b": ["s", {"c": "t"}]}))),
    ]);
    from.set_all_config(&entries, &plain).await.unwrap();
    let written = from.get_all_config(&plain).await.unwrap();
    assert_eq!(written["shop:hidden"], ConfigValue::secret_object(json!({"a.b": ["s", {"c": "t"}]})));
    assert!(!place.settings("from").contains("\"s\"") && !place.settings("from").contains(": t"));
    to.set_all_config_json(&serde_json::to_string(&written).unwrap(), &plain).await.unwrap();
    assert_eq!(to.get_all_config(&plain).await.unwrap(), written);
    assert!(to.set_all_config_json(r#"{"a": {"secret": true}}"#, &plain).await.is_err());
}

#[tokio::test]
async fn another_settings_file_is_used_and_a_refresh_restores_the_last_update() {
    let place = Place::new().await;
    let stack = place.workspace.create_stack("dev").await.unwrap();
    let plain = ConfigOptions::default();
    let file = place.folder().join("other.yaml");
    std::fs::copy(place.workspace.stack_settings_path("dev"), &file).unwrap();
    let other = ConfigOptions::default().path(false).file(file.clone());
    stack.set_config("pin", "other", &other).await.unwrap();
    assert_eq!(stack.get_config("pin", &other).await.unwrap(), Some("other".into()));
    stack.set_config("pin", "own", &plain).await.unwrap();
    assert_eq!(stack.get_config("pin", &plain).await.unwrap(), Some("own".into()));
    up(&stack).await;
    stack.set_config("pin", "changed", &plain).await.unwrap();
    let refreshed = stack.refresh_config(&plain).await.unwrap();
    assert_eq!(refreshed["shop:pin"], "own".into());
    stack.remove_config("pin", &other).await.unwrap();
    let default = Some("none".into());
    assert_eq!(stack.get_config("pin", &other).await.unwrap(), default, "the project's own is left");
}
