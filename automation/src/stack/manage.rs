//! Making, finding, renaming and removing stacks, and their state as a whole.

use super::*;

impl Stack {
    /// Creates the stack; `pulumi stack init`. [`Error::StackExists`] when there is one.
    pub async fn create(&self) -> Result<()> {
        let command = Command::new(["stack", "init", self.name.as_str()])
            .arg("--no-select")
            .option("--secrets-provider", self.workspace.place().secrets_provider.as_ref())
            .locking(&self.name);
        self.command(command).await.map(drop)
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

    /// Deletes the stack, its history, backups and settings file; `pulumi stack rm`. It must be empty.
    /// A stack that does not exist is a success.
    pub async fn remove(&self) -> Result<()> {
        let command = Command::new(["stack", "rm", "--yes", "--remove-backups"]).stack(&self.name);
        match self.command(command.locking(&self.name)).await {
            Ok(_) | Err(Error::StackNotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        self.remove_traces();
        Ok(())
    }

    /// The deployment as `pulumi stack export` prints it; secrets stay encrypted.
    pub async fn export(&self) -> Result<serde_json::Value> {
        let printed = self.command(Command::new(["stack", "export"]).stack(&self.name)).await?;
        serde_json::from_str(&printed)
            .map_err(|error| Error::Output { command: "stack export".to_owned(), message: error.to_string() })
    }

    /// What `stack rm` leaves in a folder backend and in Pulumi's home: empty folders and the CLI's own
    /// logs of the stack. Left over, they are harmless, so a failure here is no error.
    fn remove_traces(&self) {
        let place = self.workspace.place();
        if let Backend::Folder(folder) = &place.backend {
            let stacks = folder.join(".pulumi/stacks").join(&place.project);
            // A write that was cut off leaves a temporary file beside the one that is gone now.
            remove_files(&stacks, |name| name.starts_with(&format!("{}.", self.name)));
            for kind in ["backups", "history", "stacks", "locks/organization"] {
                let path = folder.join(".pulumi").join(kind).join(&place.project).join(&self.name);
                // Only an empty folder can be removed this way.
                let _ = std::fs::remove_dir(path);
            }
        }
        let settings = format!("Pulumi.{}.yaml", self.name);
        let _ = std::fs::remove_file(place.directory.join(settings));
        let mark = format!("+{}+{}-", place.project, self.name);
        remove_files(&place.home.join("logs"), |name| name.contains(&mark));
    }

    /// True when a folder backend has a state file of the stack: no process is needed to know.
    fn has_state_file(&self) -> bool {
        let place = self.workspace.place();
        let Backend::Folder(folder) = &place.backend else { return false };
        let stacks = folder.join(".pulumi/stacks").join(&place.project);
        let extensions = ["json", "json.gz", "json.zst"];
        extensions.iter().any(|extension| stacks.join(format!("{}.{extension}", self.name)).exists())
    }
}

fn remove_files(folder: &Path, which: impl Fn(&str) -> bool) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if which(&entry.file_name().to_string_lossy()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
