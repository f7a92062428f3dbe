//! Environments of Pulumi ESC that a stack's configuration imports. Pulumi Cloud only: any other backend
//! refuses with [`Error::Command`].

use super::*;

impl Stack {
    /// The environments in the order in which they are imported; `pulumi config env ls`.
    pub async fn environments(&self) -> Result<Vec<String>> {
        let command = Command::new(["config", "env", "ls"]).flag("json", true).stack(&self.name);
        let environments: Option<_> = self.workspace.json(&command).await?;
        Ok(environments.unwrap_or_default())
    }

    /// Adds environments behind those that are there; `pulumi config env add`.
    pub async fn add_environments(&self, environments: &[&str]) -> Result<()> {
        if environments.is_empty() {
            return Ok(());
        }
        let command = Command::new(["config", "env", "add"]).flag("yes", true).stack(&self.name);
        self.command(command.args(environments.iter().copied())).await.map(drop)
    }

    /// Removes one environment; `pulumi config env rm`.
    pub async fn remove_environment(&self, environment: &str) -> Result<()> {
        let command = Command::new(["config", "env", "rm"]).flag("yes", true).stack(&self.name);
        self.command(command.arg(environment)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use crate::recorder::Recorder;

    #[tokio::test]
    async fn environments_are_listed_added_and_removed() {
        let recorder = Recorder::answering([r#"["a/b", "c"]"#]);
        let stack = recorder.workspace().stack("dev");
        assert_eq!(stack.environments().await.unwrap(), ["a/b", "c"]);
        stack.add_environments(&["a/b", "c"]).await.unwrap();
        stack.add_environments(&[]).await.unwrap();
        stack.remove_environment("c").await.unwrap();
        assert_eq!(
            recorder.lines(),
            [
                "config env ls --json --stack=dev",
                "config env add --stack=dev --yes -- a/b c",
                "config env rm --stack=dev --yes -- c",
            ]
        );
    }
}
