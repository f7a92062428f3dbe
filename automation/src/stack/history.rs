//! What has happened to a stack.

use serde::{Deserialize, Deserializer};

use super::*;
use crate::config::ConfigValue;
use crate::setters::setters;

/// Which part of a history is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryOptions {
    /// Updates in a page; all in one page when absent.
    pub page_size: Option<u32>,
    /// The first is 1 and holds the latest updates.
    pub page: Option<u32>,
    /// Show secret configuration in plain text.
    pub show_secrets: bool,
}

setters!(HistoryOptions { page_size(Option<u32>), page(Option<u32>), show_secrets(bool) });

/// One update of a stack's history.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct UpdateInfo {
    /// `update`, `preview`, `refresh`, `destroy`, `import`, `rename`, ...
    pub kind: String,
    /// RFC 3339, UTC.
    pub start_time: String,
    /// RFC 3339, UTC; absent while it runs.
    pub end_time: Option<String>,
    /// As given with the operation.
    #[serde(default)]
    pub message: String,
    /// What was known about the caller: `exec.kind`, `git.head`, `pulumi.version`, ...
    #[serde(default, deserialize_with = "or_nothing")]
    pub environment: BTreeMap<String, String>,
    /// The configuration at that time, by full key (`project:key`). Secrets are empty unless
    /// [`HistoryOptions::show_secrets`] asked for them.
    #[serde(default)]
    pub config: BTreeMap<String, ConfigValue>,
    /// `succeeded`, `failed` or `in-progress`.
    pub result: Option<String>,
    /// Steps by their operation: `create`, `same`, ...
    #[serde(default)]
    pub resource_changes: Option<BTreeMap<String, u64>>,
    /// Counts up from 1; 0 in backends that do not count.
    #[serde(default)]
    pub version: u64,
}

/// Of an import into a service nothing is known, and that is printed as `null`.
fn or_nothing<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<BTreeMap<String, String>, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

impl Stack {
    /// The updates, the latest first; `pulumi stack history`.
    pub async fn history(&self, options: &HistoryOptions) -> Result<Vec<UpdateInfo>> {
        let command = Command::new(["stack", "history"])
            .flag("json", true)
            .flag("show-secrets", options.show_secrets)
            .stack(&self.name)
            // Zero is all; the CLI's own default is 10.
            .option("page-size", Some(options.page_size.unwrap_or(0)))
            .option("page", options.page);
        let updates: Option<Vec<UpdateInfo>> = self.workspace.json(&command).await?;
        Ok(updates.unwrap_or_default())
    }

    /// The latest update, if there is one; `pulumi stack history --page-size 1`.
    pub async fn last_update(&self) -> Result<Option<UpdateInfo>> {
        let options = HistoryOptions { page_size: Some(1), page: Some(1), show_secrets: false };
        Ok(self.history(&options).await?.pop())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    /// As Pulumi 3.255.0 prints it.
    const PRINTED: &str = r#"[{"version": 0, "kind": "update", "startTime": "2026-11-25T13:22:53.000Z",
        "message": "first", "environment": {"exec.kind": "cli"},
        "config": {"p:apple": {"value": "x", "secret": false}, "p:pin": {"secret": true}},
        "result": "succeeded", "endTime": "2026-11-25T13:22:53.000Z", "resourceChanges": {"create": 1}}]"#;

    #[test]
    fn an_update_of_which_nothing_is_known_has_an_empty_environment() {
        let printed = PRINTED.replace(r#"{"exec.kind": "cli"}"#, "null");
        let updates: Vec<UpdateInfo> = serde_json::from_str(&printed).unwrap();
        assert!(updates[0].environment.is_empty());
    }

    #[tokio::test]
    async fn a_history_is_asked_for_by_pages_and_typed() {
        let recorder = Recorder::answering([PRINTED, PRINTED, "null"]);
        let stack = recorder.workspace().stack("dev");
        let options = HistoryOptions { page_size: Some(2), page: Some(3), show_secrets: true };
        let update = stack.history(&options).await.unwrap().remove(0);
        assert_eq!((update.kind.as_str(), update.message.as_str()), ("update", "first"));
        assert_eq!(update.result.as_deref(), Some("succeeded"));
        assert_eq!(update.resource_changes, Some(BTreeMap::from([("create".to_owned(), 1)])));
        assert_eq!(update.config["p:apple"], ConfigValue::plain("x"));
        assert_eq!(update.config["p:pin"], ConfigValue::secret(""));
        assert!(stack.last_update().await.unwrap().is_some());
        assert!(stack.history(&HistoryOptions::default()).await.unwrap().is_empty());
        assert_eq!(
            recorder.lines(),
            [
                "stack history --json --page=3 --page-size=2 --show-secrets --stack=dev",
                "stack history --json --page=1 --page-size=1 --stack=dev",
                "stack history --json --page-size=0 --stack=dev",
            ]
        );
    }
}
