//! Words that are kept with a stack.

use super::*;
use crate::classify::is_absent_key;

impl Stack {
    /// One tag; none when it is not set. `pulumi stack tag get`.
    pub async fn tag(&self, name: &str) -> Result<Option<String>> {
        let command = Command::new(["stack", "tag", "get"]).stack(&self.name).arg(name);
        match self.command(command).await {
            Ok(printed) => Ok(Some(printed.strip_suffix('\n').unwrap_or(&printed).to_owned())),
            Err(error) if is_absent_key(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every tag; `pulumi stack tag ls`.
    pub async fn tags(&self) -> Result<BTreeMap<String, String>> {
        let command = Command::new(["stack", "tag", "ls"]).flag("json", true).stack(&self.name);
        let tags: Option<_> = self.workspace.json(&command).await?;
        Ok(tags.unwrap_or_default())
    }

    /// Sets one tag; `pulumi stack tag set`.
    pub async fn set_tag(&self, name: &str, value: &str) -> Result<()> {
        let command = Command::new(["stack", "tag", "set"]).stack(&self.name).args([name, value]);
        self.command(command.locking(&self.name)).await.map(drop)
    }

    /// Removes one tag, set or not; `pulumi stack tag rm`.
    pub async fn remove_tag(&self, name: &str) -> Result<()> {
        let command = Command::new(["stack", "tag", "rm"]).stack(&self.name).arg(name);
        self.command(command.locking(&self.name)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use crate::recorder::Recorder;

    #[tokio::test]
    async fn tags_are_data_and_keep_their_line_breaks() {
        let recorder = Recorder::answering(["a\n\n", "null", "", ""]);
        let stack = recorder.workspace().stack("dev");
        assert_eq!(stack.tag("-k").await.unwrap().as_deref(), Some("a\n"));
        assert!(stack.tags().await.unwrap().is_empty());
        stack.set_tag("k", "-v").await.unwrap();
        stack.remove_tag("k").await.unwrap();
        assert_eq!(
            recorder.lines(),
            [
                "stack tag get --stack=dev -- -k",
                "stack tag ls --json --stack=dev",
                "stack tag set --stack=dev -- k -v",
                "stack tag rm --stack=dev -- k",
            ]
        );
    }
}
