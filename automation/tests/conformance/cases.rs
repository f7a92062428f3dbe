//! Cases about stacks, their configuration and their state.

use automation::{Error, Options};

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
    let error = stack.up(row(&["a"]), &Options::default()).await.unwrap_err();
    assert!(matches!(&error, Error::StackNotFound { stack } if stack == "nowhere"), "{error:?}");
    let error = stack.export().await.unwrap_err();
    assert!(matches!(&error, Error::StackNotFound { .. }), "{error:?}");
}
