//! Making, finding, renaming and removing stacks.

use super::*;
use crate::workspace::StackSummary;

/// How a stack is created besides by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateOptions {
    /// Begin with the configuration of this stack; its secrets are encrypted anew.
    pub copy_config_from: Option<String>,
    /// Teams of Pulumi Cloud that may read and update it.
    pub teams: Vec<String>,
    /// Keep its configuration in Pulumi Cloud instead of a file.
    pub remote_config: bool,
}

/// How a stack is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoveOptions {
    /// Also when it still has resources; they stay where they are and are forgotten.
    pub force: bool,
    /// Leave its settings file.
    pub preserve_config: bool,
    /// Leave the copies of its state that a folder or bucket backend keeps.
    pub keep_backups: bool,
}

impl Stack {
    /// Creates the stack; `pulumi stack init --no-select`. [`Error::StackExists`] when there is one.
    pub async fn create(&self) -> Result<()> {
        self.create_with(&CreateOptions::default()).await
    }

    /// As [`Stack::create`], with options.
    pub async fn create_with(&self, options: &CreateOptions) -> Result<()> {
        let mut command = Command::new(["stack", "init", self.name.as_str()])
            .arg("--no-select")
            .option("--secrets-provider", self.workspace.place().secrets_provider.as_ref())
            .option("--copy-config-from", options.copy_config_from.as_ref())
            .flag("--remote-config", options.remote_config);
        for team in &options.teams {
            command = command.option("--teams", Some(team));
        }
        self.command(command.locking(&self.name)).await.map(drop)
    }

    /// Creates the stack unless it exists; true when it was created.
    pub async fn ensure(&self) -> Result<bool> {
        if self.has_state_file() {
            return Ok(false);
        }
        match self.create().await {
            Ok(()) => Ok(true),
            Err(Error::StackExists { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes it the stack that the plain CLI works with in this folder; `pulumi stack select`. Nothing
    /// here needs it: every method names its stack. [`Error::StackNotFound`] when there is none.
    pub async fn select(&self) -> Result<()> {
        self.command(Command::new(["stack", "select"]).stack(&self.name)).await.map(drop)
    }

    /// What `pulumi stack ls` says about it, without selecting it. [`Error::StackNotFound`] when there is
    /// none.
    pub async fn info(&self) -> Result<StackSummary> {
        let stacks = self.workspace.stacks(false).await?;
        let short = self.short_name();
        // Pulumi Cloud names the stacks of another organisation with it.
        let mut found = stacks.into_iter().filter(|stack| stack.name == self.name || stack.name == short);
        found.next().ok_or_else(|| Error::StackNotFound { stack: self.name.clone() })
    }

    /// Renames the stack and its settings file, and returns it under its new name; `pulumi stack rename`.
    /// [`Error::StackExists`] when there is one of that name. The CLI also selects it. Tags go with it in a
    /// folder backend; the CLI of 3.255 forgets those in a bucket.
    pub async fn rename(&self, name: &str) -> Result<Stack> {
        let command = Command::new(["stack", "rename"]).stack(&self.name).arg("--").arg(name);
        self.command(command.locking(&self.name)).await.map_err(|error| match error {
            Error::StackExists { .. } => Error::StackExists { stack: name.to_owned() },
            other => other,
        })?;
        let renamed = self.workspace.stack(name);
        self.move_tags(renamed.short_name());
        Ok(renamed)
    }

    /// Deletes the stack, its history, backups and settings file; `pulumi stack rm`. It must be empty.
    /// A stack that does not exist is a success.
    pub async fn remove(&self) -> Result<()> {
        self.remove_with(&RemoveOptions::default()).await
    }

    /// As [`Stack::remove`], with options.
    pub async fn remove_with(&self, options: &RemoveOptions) -> Result<()> {
        let command = Command::new(["stack", "rm", "--yes"])
            .flag("--remove-backups", !options.keep_backups)
            .flag("--force", options.force)
            .flag("--preserve-config", options.preserve_config)
            .stack(&self.name);
        match self.command(command.locking(&self.name)).await {
            Ok(_) | Err(Error::StackNotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        self.remove_traces(options);
        Ok(())
    }

    /// Releases the stack's lock, whoever holds it; `pulumi cancel`. In Pulumi Cloud the update that runs
    /// is told to end; a folder or bucket backend only forgets it, and the process that runs it goes on.
    pub async fn cancel(&self) -> Result<()> {
        self.command(Command::new(["cancel", "--yes"]).stack(&self.name)).await.map(drop)
    }

    /// The name without organisation and project.
    pub(crate) fn short_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// What `stack rm` leaves in a folder backend and in Pulumi's home: empty folders and the CLI's own
    /// logs of the stack. Left over, they are harmless, so a failure here is no error.
    fn remove_traces(&self, options: &RemoveOptions) {
        let place = self.workspace.place();
        let name = self.short_name();
        if let Backend::Folder(folder) = &place.backend {
            let stacks = folder.join(".pulumi/stacks").join(&place.project);
            // A write that was cut off leaves a temporary file beside the one that is gone now.
            if !options.keep_backups {
                remove_files(&stacks, |file| file.starts_with(&format!("{name}.")));
            }
            for kind in ["backups", "history", "stacks", "locks/organization"] {
                let path = folder.join(".pulumi").join(kind).join(&place.project).join(name);
                // Only an empty folder can be removed this way.
                let _ = std::fs::remove_dir(path);
            }
        }
        if !options.preserve_config {
            let _ = std::fs::remove_file(self.workspace.stack_settings_path(&self.name));
        }
        let mark = format!("+{}+{name}-", place.project);
        remove_files(&place.home.join("logs"), |name| name.contains(&mark));
    }

    /// The CLI leaves the file of tags under the old name, and the next stack of that name would get it.
    fn move_tags(&self, to: &str) {
        let place = self.workspace.place();
        let Backend::Folder(folder) = &place.backend else { return };
        let stacks = folder.join(".pulumi/stacks").join(&place.project);
        for extension in ["pulumi-tags", "pulumi-tags.attrs"] {
            let path = |name: &str| stacks.join(format!("{name}.{extension}"));
            // Most stacks have none.
            let _ = std::fs::rename(path(self.short_name()), path(to));
        }
    }

    /// True when a folder backend has a state file of the stack: no process is needed to know.
    fn has_state_file(&self) -> bool {
        let place = self.workspace.place();
        let Backend::Folder(folder) = &place.backend else { return false };
        let stacks = folder.join(".pulumi/stacks").join(&place.project);
        let extensions = ["json", "json.gz", "json.zst"];
        extensions.iter().any(|extension| stacks.join(format!("{}.{extension}", self.short_name())).exists())
    }
}

fn remove_files(folder: &Path, which: impl Fn(&str) -> bool) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if which(&entry.file_name().to_string_lossy()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    #[tokio::test]
    async fn every_command_names_its_stack_and_its_lock() {
        let recorder = Recorder::default();
        let workspace = recorder.workspace().with_secrets_provider("awskms://alias/a");
        let stack = workspace.stack("dev");
        let copied = CreateOptions {
            copy_config_from: Some("old".to_owned()),
            teams: vec!["ops".to_owned()],
            remote_config: true,
        };
        stack.create_with(&copied).await.unwrap();
        stack.select().await.unwrap();
        assert_eq!(stack.rename("-prod").await.unwrap().name(), "-prod");
        stack.remove().await.unwrap();
        let all = RemoveOptions { force: true, preserve_config: true, keep_backups: true };
        stack.remove_with(&all).await.unwrap();
        stack.cancel().await.unwrap();
        assert_eq!(
            recorder.lines(),
            [
                "stack init dev --no-select --secrets-provider awskms://alias/a --copy-config-from old \
                 --remote-config --teams ops",
                "stack select --stack dev",
                "stack rename --stack dev -- -prod",
                "stack rm --yes --remove-backups --stack dev",
                "stack rm --yes --force --preserve-config --stack dev",
                "cancel --yes --stack dev",
            ]
        );
        let locks: Vec<bool> = recorder.commands().iter().map(|command| command.locks.is_some()).collect();
        assert_eq!(locks, [true, false, true, true, true, false], "what changes state waits for the lock");
    }

    #[tokio::test]
    async fn a_rename_that_fails_names_the_stack_that_is_there() {
        let recorder = Recorder::failing(Error::StackExists { stack: "dev".to_owned() });
        let error = recorder.workspace().stack("dev").rename("prod").await.unwrap_err();
        assert!(matches!(error, Error::StackExists { stack } if stack == "prod"));
    }

    #[tokio::test]
    async fn what_is_known_about_a_stack_is_found_by_its_name_alone() {
        let listed = r#"[{"name": "dev", "current": false}, {"name": "prod", "current": true}]"#;
        let recorder = Recorder::answering([listed, listed]);
        let info = recorder.workspace().stack("organization/shop/dev").info().await.unwrap();
        assert_eq!((info.name.as_str(), info.current), ("dev", false));
        let error = recorder.workspace().stack("test").info().await.unwrap_err();
        assert!(matches!(error, Error::StackNotFound { .. }));
        assert_eq!(recorder.lines()[0], "stack ls --json");
    }
}
