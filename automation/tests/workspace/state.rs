//! What a stack holds: outputs, exports, history.

use pulumi_auto::stack::HistoryOptions;
use pulumi_auto::{ConfigOptions, ConfigValue, Error, Options, Source, Value};
use serde_json::{Value as Json, json};

use crate::place::{Place, up};

#[tokio::test]
async fn outputs_come_with_their_secrets_in_one_run_and_are_what_the_cli_shows() {
    let place = Place::new().await;
    let stack = place.workspace.create_stack("dev").await.unwrap();
    assert!(stack.outputs().await.unwrap().is_empty());
    up(&stack).await;
    let outputs = stack.outputs().await.unwrap();
    assert_eq!(outputs["plain"], "hi".into());
    assert_eq!(outputs["secret"], Value::secret("hush"));
    assert!(outputs["nested"].has_secrets() && !outputs["number"].has_secrets());
    let command = pulumi_auto::Command::new(["stack", "output"])
        .flag("json", true)
        .flag("show-secrets", true)
        .stack("dev");
    let shown: Json = serde_json::from_str(&place.workspace.command(&command).await.unwrap()).unwrap();
    let revealed: Json = outputs.iter().map(|(name, value)| (name.clone(), value.reveal())).collect();
    assert_eq!(revealed, shown);
}

#[tokio::test]
async fn an_export_can_be_imported_and_a_broken_one_only_by_force() {
    let place = Place::new().await;
    let stack = place.workspace.create_stack("dev").await.unwrap();
    up(&stack).await;
    let sealed = stack.export().await.unwrap();
    let plain = stack.export_with_secrets().await.unwrap();
    assert_eq!((plain.version(), plain.resources().len()), (3, 1));
    assert!(plain.to_string().contains("hush") && !sealed.to_string().contains("hush"));
    stack.destroy(Source::Project).await.unwrap();
    assert!(stack.export().await.unwrap().resources().is_empty());
    stack.import(&plain).await.unwrap();
    assert_eq!(stack.outputs().await.unwrap()["secret"], Value::secret("hush"));
    assert!(!stack.export().await.unwrap().to_string().contains("hush"), "secrets are encrypted again");

    let mut changed = sealed.clone().into_json();
    changed["deployment"]["resources"][0]["urn"] =
        json!("urn:pulumi:other::shop::pulumi:pulumi:Stack::shop-other");
    let error = stack.import(&changed.clone().into()).await.unwrap_err();
    assert!(matches!(error, Error::Command { .. }), "{error}");
    stack.force_import(&changed.into()).await.unwrap();
    assert!(stack.export().await.unwrap().to_string().contains("shop-other"));
    let error =
        stack.import(&json!({"version": 3, "deployment": {"resources": [{"urn": "u"}]}}).into()).await;
    assert!(matches!(error, Err(Error::Invalid { .. })), "{error:?}");
}

#[tokio::test]
async fn a_history_tells_what_happened_in_pages() {
    let place = Place::new().await;
    let stack = place.workspace.create_stack("dev").await.unwrap();
    assert_eq!(stack.last_update().await.unwrap(), None);
    stack.set_config("pin", ConfigValue::secret("hush"), &ConfigOptions::default()).await.unwrap();
    let message = "it's \"so\" --yes";
    let options = Options::default().message(message.to_owned());
    stack.up(Source::Project).with(&options).await.unwrap();
    stack.destroy(Source::Project).await.unwrap();
    let all = stack.history(&HistoryOptions::default()).await.unwrap();
    let kinds: Vec<&str> = all.iter().map(|update| update.kind.as_str()).collect();
    assert_eq!(kinds, ["destroy", "update"]);
    let second = HistoryOptions::default().page_size(1).page(2).show_secrets(true);
    let first = stack.history(&second).await.unwrap().remove(0);
    assert_eq!((first.message.as_str(), first.result.as_deref()), (message, Some("succeeded")));
    assert_eq!(first.resource_changes.unwrap()["create"], 1);
    assert_eq!(first.config["shop:pin"], ConfigValue::secret("hush"));
    assert_eq!(first.environment["exec.kind"], "auto.local");
    assert!(first.end_time.unwrap() >= first.start_time && first.start_time.starts_with("20"));
    assert!(all[1].config["shop:pin"].secret && all[1].config["shop:pin"].value.is_empty());
    let beyond = HistoryOptions::default().page(9).page_size(5).show_secrets(false);
    assert!(stack.history(&beyond).await.unwrap().is_empty());
}
