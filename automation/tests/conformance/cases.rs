//! Cases about stacks, their configuration and their state.

use std::collections::BTreeMap;

use pulumi_auto::stack::{HistoryOptions, RemoveOptions};
use pulumi_auto::{ConfigOptions, ConfigValue, Error};

use super::Subject;
use super::operations::{row, stack_in};

pub async fn a_stack_exists_once_until_it_is_removed(subject: impl Subject) {
    let workspace = subject.workspace();
    let stack = stack_in(&workspace, "once").await;
    let error = stack.create().await.unwrap_err();
    assert!(matches!(error, Error::StackExists { stack } if stack == "once"));
    assert!(!stack.ensure().await.unwrap());
    stack.remove().await.unwrap();
    stack.remove().await.unwrap();
    assert!(stack.ensure().await.unwrap());
}

pub async fn what_is_not_there_is_not_found(subject: impl Subject) {
    let stack = subject.workspace().stack("nowhere");
    let error = stack.up(row(&["a"])).await.unwrap_err();
    assert!(matches!(&error, Error::StackNotFound { stack } if stack == "nowhere"), "{error:?}");
    let error = stack.export().await.unwrap_err();
    assert!(matches!(&error, Error::StackNotFound { .. }), "{error:?}");
}

pub async fn a_renamed_stack_keeps_its_state_and_frees_its_name(subject: impl Subject) {
    let workspace = subject.workspace();
    let stack = stack_in(&workspace, "old").await;
    let other = stack_in(&workspace, "taken").await;
    stack.up(row(&["a"])).await.unwrap();
    let error = stack.rename("taken").await.unwrap_err();
    assert!(matches!(error, Error::StackExists { stack } if stack == "taken"));
    let renamed = stack.rename("new").await.unwrap();
    assert_eq!(renamed.name(), "new");
    assert!(renamed.up(row(&["a"])).await.unwrap().summary.is_unchanged());
    let names: Vec<_> = workspace.stacks(false).await.unwrap().into_iter().map(|stack| stack.name).collect();
    assert_eq!(names, ["new", "taken"]);
    other.remove().await.unwrap();
}

pub async fn config_comes_back_as_it_was_set_and_secrets_are_told_apart(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "config").await;
    let here = ConfigOptions::default();
    stack.set_config("colour", "red", &here).await.unwrap();
    stack.set_config("token", ConfigValue::secret("-canary\n--x"), &here).await.unwrap();
    let entries = BTreeMap::from([("a".to_owned(), "1".into()), ("b".to_owned(), ConfigValue::secret("2"))]);
    stack.set_all_config(&entries, &here).await.unwrap();
    let token = stack.get_config("token", &here).await.unwrap().unwrap();
    assert_eq!((token.value.as_str(), token.secret), ("-canary\n--x", true));
    assert_eq!(stack.get_config("nothing", &here).await.unwrap(), None);
    let all = stack.get_all_config(&here).await.unwrap();
    let all: Vec<_> = all.iter().map(|(key, entry)| (key.as_str(), entry.secret)).collect();
    assert_eq!(all, [("shop:a", false), ("shop:b", true), ("shop:colour", false), ("shop:token", true)]);
    stack.remove_all_config(&["a", "b"], &here).await.unwrap();
    stack.remove_config("colour", &here).await.unwrap();
    assert_eq!(stack.get_all_config(&here).await.unwrap().len(), 1);
}

pub async fn tags_are_kept_and_removed(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "tagged").await;
    stack.set_tag("owner", "me and you").await.unwrap();
    assert_eq!(stack.tag("owner").await.unwrap().as_deref(), Some("me and you"));
    assert_eq!(stack.tags().await.unwrap()["owner"], "me and you");
    stack.remove_tag("owner").await.unwrap();
    assert_eq!(stack.tag("owner").await.unwrap(), None);
}

pub async fn a_state_that_was_exported_can_be_imported(subject: impl Subject) {
    let workspace = subject.workspace();
    let stack = stack_in(&workspace, "state").await;
    stack.up(row(&["a", "b"])).await.unwrap();
    let kept = stack.export().await.unwrap();
    stack.up(row(&["a"])).await.unwrap();
    stack.import(&kept).await.unwrap();
    let again = stack.up(row(&["a", "b"])).await.unwrap();
    assert!(again.summary.is_unchanged(), "{:?}", again.summary);
}

pub async fn a_stack_with_resources_is_removed_by_force_only(subject: impl Subject) {
    let stack = stack_in(&subject.workspace(), "full").await;
    stack.up(row(&["a"])).await.unwrap();
    let error = stack.remove().await.unwrap_err();
    assert!(error.to_string().contains("still has resources"), "{error}");
    stack.remove_with(&RemoveOptions::default().force(true)).await.unwrap();
    assert!(matches!(stack.export().await.unwrap_err(), Error::StackNotFound { .. }));
}

/// A name may hold dots, so that one begins with another.
pub async fn a_removal_leaves_stacks_whose_names_begin_the_same(subject: impl Subject) {
    let workspace = subject.workspace();
    let longer = stack_in(&workspace, "dev.eu").await;
    longer.up(row(&["a"])).await.unwrap();
    longer.up(row(&["a", "b"])).await.unwrap();
    let all = RemoveOptions::default().remove_backups(true).remove_leftovers(true);
    for options in [&RemoveOptions::default(), &all] {
        // Once it is not there, once it is.
        workspace.stack("dev").remove_with(options).await.unwrap();
        let shorter = stack_in(&workspace, "dev").await;
        shorter.up(row(&["a"])).await.unwrap();
        shorter.remove_with(&options.clone().force(true)).await.unwrap();
        let history = longer.history(&HistoryOptions::default()).await.unwrap();
        assert!(history.len() >= 2, "{history:?}");
        assert!(longer.up(row(&["a", "b"])).await.unwrap().summary.is_unchanged());
        longer.import(&longer.export().await.unwrap()).await.unwrap();
    }
}
