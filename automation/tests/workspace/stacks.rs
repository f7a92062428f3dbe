//! The life of stacks: made, found, renamed, tagged, locked, removed.

use pulumi_auto::stack::{CreateOptions, RemoveOptions};
use pulumi_auto::{ConfigOptions, ConfigValue, Error};

use crate::place::{PROJECT, Place, up};

#[tokio::test]
async fn stacks_are_created_listed_selected_and_found() {
    let place = Place::new().await;
    let workspace = &place.workspace;
    assert!(workspace.stacks(true).await.unwrap().is_empty());
    let error = workspace.select_stack("dev").await.unwrap_err();
    assert!(matches!(error, Error::StackNotFound { stack } if stack == "dev"));
    let dev = workspace.create_stack("dev").await.unwrap();
    let error = workspace.create_stack("dev").await.unwrap_err();
    assert!(matches!(error, Error::StackExists { stack } if stack == "dev"));
    workspace.upsert_stack("dev").await.unwrap();
    dev.set_config("pin", ConfigValue::secret("hush"), &ConfigOptions::default()).await.unwrap();
    let copied = CreateOptions::default().copy_config_from("dev");
    let prod = workspace.stack("prod");
    prod.create_with(&copied).await.unwrap();
    let pin = prod.get_config("pin", &ConfigOptions::default()).await.unwrap();
    assert_eq!(pin, Some(ConfigValue::secret("hush")));

    assert_eq!(workspace.selected().await.unwrap(), None, "nothing here selects");
    workspace.select_stack("prod").await.unwrap();
    assert_eq!(workspace.selected().await.unwrap().as_deref(), Some("prod"));
    up(&dev).await;
    let info = dev.info().await.unwrap();
    assert_eq!((info.name.as_str(), info.current, info.resource_count), ("dev", false, Some(1)));
    assert!(info.last_update.unwrap().starts_with("20"));
    assert!(matches!(workspace.stack("test").info().await, Err(Error::StackNotFound { .. })));
}

#[tokio::test]
async fn a_renamed_stack_keeps_its_state_settings_and_tags() {
    let place = Place::new().await;
    let workspace = &place.workspace;
    let dev = workspace.create_stack("dev").await.unwrap();
    workspace.create_stack("taken").await.unwrap();
    up(&dev).await;
    assert_eq!(dev.tag("owner").await.unwrap(), None);
    dev.set_tag("owner", "-me & you").await.unwrap();
    dev.set_tag("-k", "").await.unwrap();
    assert_eq!(dev.tag("owner").await.unwrap().as_deref(), Some("-me & you"));
    dev.remove_tag("-k").await.unwrap();
    dev.remove_tag("absent").await.unwrap();
    assert_eq!(
        dev.tags().await.unwrap().into_iter().collect::<Vec<_>>(),
        [("owner".into(), "-me & you".into())]
    );

    let error = dev.rename("taken").await.unwrap_err();
    assert!(matches!(error, Error::StackExists { stack } if stack == "taken"));
    let prod = dev.rename("prod").await.unwrap();
    assert_eq!(prod.outputs().await.unwrap()["plain"], "hi".into());
    assert_eq!(prod.tag("owner").await.unwrap().as_deref(), Some("-me & you"));
    assert!(
        workspace.stack_settings("dev").unwrap().is_none()
            && workspace.stack_settings("prod").unwrap().is_some()
    );
    assert!(matches!(dev.rename("other").await, Err(Error::StackNotFound { .. })));
    dev.create().await.unwrap();
    assert!(dev.tags().await.unwrap().is_empty(), "they went with the old stack");
}

/// A provider is no resource that could be lost, so this stack is given one by hand.
#[tokio::test]
async fn a_stack_with_resources_is_removed_by_force_only() {
    let place = Place::new().await;
    let stack = place.workspace.create_stack("dev").await.unwrap();
    up(&stack).await;
    let mut state = stack.export().await.unwrap().into_json();
    let urn = "urn:pulumi:dev::shop::pulumi:pulumi:StackReference::other";
    let kept = serde_json::json!({"urn": urn, "type": "pulumi:pulumi:StackReference", "custom": true, "id": "x",
        "external": true, "parent": state["deployment"]["resources"][0]["urn"]});
    state["deployment"]["resources"].as_array_mut().unwrap().push(kept);
    stack.import(&state.into()).await.unwrap();
    let error = stack.remove().await.unwrap_err();
    assert!(
        matches!(&error, Error::Command { message, .. } if message.contains("still has resources")),
        "{error}"
    );
    let settings = place.workspace.stack_settings_path("dev");
    let keep = RemoveOptions::default().force(true).preserve_config(true);
    stack.remove_with(&keep).await.unwrap();
    assert!(settings.exists() && place.workspace.stacks(false).await.unwrap().is_empty());
    stack.create().await.unwrap();
    stack.remove().await.unwrap();
    assert!(!settings.exists());
    stack.remove().await.unwrap();
}

#[tokio::test]
async fn a_cancel_releases_a_lock_of_another_machine() {
    let place = Place::new().await;
    let stack = place.workspace.create_stack("dev").await.unwrap();
    let locks = place.folder().join("state/.pulumi/locks/organization").join(PROJECT).join("dev");
    std::fs::create_dir_all(&locks).unwrap();
    let lock =
        r#"{"pid": 1, "username": "me", "hostname": "elsewhere", "timestamp": "2026-11-25T13:22:53Z"}"#;
    std::fs::write(locks.join("x.json"), lock).unwrap();
    let error = stack.rename("other").await.unwrap_err();
    assert!(
        matches!(&error, Error::ConcurrentUpdate { owner, .. } if owner.contains("me@elsewhere")),
        "{error}"
    );
    stack.cancel().await.unwrap();
    stack.rename("other").await.unwrap();
    let error = place.workspace.stack("nothing").cancel().await.unwrap_err();
    assert!(matches!(error, Error::StackNotFound { .. }));
}
