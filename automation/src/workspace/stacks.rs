//! The stacks of a project.

use serde::Deserialize;

use super::*;
use crate::stack::Stack;

/// A stack as `pulumi stack ls` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StackSummary {
    /// With organisation and project where they are not this workspace's own.
    pub name: String,
    /// True for the one that is selected in this folder.
    #[serde(default)]
    pub current: bool,
    /// RFC 3339, UTC; absent before the first update and while one runs.
    pub last_update: Option<String>,
    /// Told by Pulumi Cloud only.
    pub update_in_progress: Option<bool>,
    /// The stack itself and its providers count.
    pub resource_count: Option<u64>,
    /// Where it can be looked at; Pulumi Cloud only.
    pub url: Option<String>,
}

impl Workspace {
    /// A stack of this project. Nothing is read or created yet.
    pub fn stack(&self, name: &str) -> Stack {
        Stack { workspace: self.clone(), name: name.to_owned() }
    }

    /// Creates a stack of this project; as [`Stack::create`].
    pub async fn create_stack(&self, name: &str) -> Result<Stack> {
        let stack = self.stack(name);
        stack.create().await.map(|()| stack)
    }

    /// A stack that exists; as [`Stack::select`].
    pub async fn select_stack(&self, name: &str) -> Result<Stack> {
        let stack = self.stack(name);
        stack.select().await.map(|()| stack)
    }

    /// A stack that is created unless it exists; as [`Stack::ensure`].
    pub async fn upsert_stack(&self, name: &str) -> Result<Stack> {
        let stack = self.stack(name);
        stack.ensure().await.map(|_| stack)
    }

    /// The project's stacks, or those of every project in the backend; `pulumi stack ls [--all]`. A folder
    /// or bucket backend reads the state of each.
    pub async fn stacks(&self, all: bool) -> Result<Vec<StackSummary>> {
        let stacks: Option<_> =
            self.json(&Command::new(["stack", "ls", "--json"]).flag("--all", all)).await?;
        Ok(stacks.unwrap_or_default())
    }

    /// The name of the stack that the plain CLI works with in this folder; `pulumi stack ls`.
    pub async fn selected(&self) -> Result<Option<String>> {
        let stacks = self.stacks(false).await?;
        Ok(stacks.into_iter().find(|stack| stack.current).map(|stack| stack.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    /// As Pulumi 3.255.0 prints it for Pulumi Cloud (first) and a folder (second).
    const LISTED: &str = r#"[
        {"name": "dev", "current": true, "lastUpdate": "2026-11-25T13:22:49.525Z",
         "updateInProgress": false, "resourceCount": 2, "url": "https://app.pulumi.com/a/shop/dev"},
        {"name": "prod", "current": false}]"#;

    #[tokio::test]
    async fn stacks_are_listed_with_everything_that_is_told() {
        let recorder = Recorder::answering([LISTED, LISTED, "null"]);
        let workspace = recorder.workspace();
        let stacks = workspace.stacks(true).await.unwrap();
        let first = &stacks[0];
        assert_eq!(first.last_update.as_deref(), Some("2026-11-25T13:22:49.525Z"));
        assert_eq!((first.update_in_progress, first.resource_count), (Some(false), Some(2)));
        assert_eq!(first.url.as_deref(), Some("https://app.pulumi.com/a/shop/dev"));
        assert_eq!((stacks[1].last_update.as_deref(), stacks[1].resource_count), (None, None));
        assert_eq!(workspace.selected().await.unwrap().as_deref(), Some("dev"));
        assert_eq!(workspace.selected().await.unwrap(), None);
        assert_eq!(recorder.lines()[..2], ["stack ls --json --all", "stack ls --json"]);
    }

    #[tokio::test]
    async fn only_a_stack_that_is_there_makes_an_upsert_a_selection() {
        let there = Recorder::failing(Error::StackExists { stack: "dev".to_owned() });
        assert_eq!(there.workspace().upsert_stack("dev").await.unwrap().name(), "dev");
        let broken = Recorder::failing(Error::Auth { message: "log in".to_owned() });
        assert!(matches!(broken.workspace().upsert_stack("dev").await, Err(Error::Auth { .. })));
        let there = Recorder::failing(Error::StackExists { stack: "dev".to_owned() });
        assert!(matches!(there.workspace().create_stack("dev").await, Err(Error::StackExists { .. })));
        let absent = Recorder::failing(Error::StackNotFound { stack: "dev".to_owned() });
        assert!(matches!(absent.workspace().select_stack("dev").await, Err(Error::StackNotFound { .. })));
    }
}
