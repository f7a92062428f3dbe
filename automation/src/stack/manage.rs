//! Making, finding, renaming and removing stacks.

use super::*;
use crate::setters::setters;
use crate::workspace::StackSummary;

/// How a stack is created besides by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreateOptions {
    /// Begin with the configuration of this stack; its secrets are encrypted anew.
    pub copy_config_from: Option<String>,
    /// Teams of Pulumi Cloud that may read and update it.
    pub teams: Vec<String>,
    /// Keep its configuration in Pulumi Cloud instead of a file.
    pub remote_config: bool,
}

setters!(CreateOptions { copy_config_from(Option<String>), teams(Vec<String>), remote_config(bool) });

/// How a stack is removed. The default is that of `pulumi stack rm`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoveOptions {
    /// Also when it still has resources; they stay where they are and are forgotten.
    pub force: bool,
    /// Leave its settings file.
    pub preserve_config: bool,
    /// Also the copies of its state that a folder or bucket backend keeps.
    pub remove_backups: bool,
    /// In a folder backend, also what a removal that was interrupted has left of a stack that is gone: its
    /// settings file, files beside its state (with `remove_backups` their copies too), logs and empty folders. A
    /// stack that is gone has no lock, so this is for who alone makes and removes stacks of this name.
    pub remove_leftovers: bool,
}

setters!(RemoveOptions { force(bool), preserve_config(bool), remove_backups(bool), remove_leftovers(bool) });

impl Stack {
    /// Creates the stack; `pulumi stack init --no-select`. [`Error::StackExists`] when there is one.
    pub async fn create(&self) -> Result<()> {
        self.create_with(&CreateOptions::default()).await
    }

    /// As [`Stack::create`], with options.
    pub async fn create_with(&self, options: &CreateOptions) -> Result<()> {
        let command = Command::new(["stack", "init"])
            .flag("no-select", true)
            .stack(&self.name)
            .option("secrets-provider", self.workspace.place().secrets_provider.as_deref())
            .option("copy-config-from", options.copy_config_from.as_deref())
            .flag("remote-config", options.remote_config)
            .values("teams", options.teams.iter().cloned());
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
            // Of many that create it at once, the CLI may trip over a lock that is gone again: one of them has made it.
            Err(error @ Error::Command { .. }) => match self.info().await {
                Ok(_) => Ok(false),
                Err(_) => Err(error),
            },
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
        let command = Command::new(["stack", "rename"]).stack(&self.name).arg(name);
        self.command(command.locking(&self.name)).await.map_err(|error| match error {
            Error::StackExists { .. } => Error::StackExists { stack: name.to_owned() },
            other => other,
        })?;
        let renamed = self.workspace.stack(name);
        self.move_tags(renamed.short_name());
        Ok(renamed)
    }

    /// Deletes the stack, its history and its settings file; `pulumi stack rm`. It must be empty. Copies of
    /// its state stay where the backend keeps some. A stack that does not exist is a success, and nothing
    /// is touched.
    pub async fn remove(&self) -> Result<()> {
        self.remove_with(&RemoveOptions::default()).await
    }

    /// As [`Stack::remove`], with options.
    pub async fn remove_with(&self, options: &RemoveOptions) -> Result<()> {
        let command = Command::new(["stack", "rm"])
            .flag("yes", true)
            .flag("remove-backups", options.remove_backups)
            .flag("force", options.force)
            .flag("preserve-config", options.preserve_config)
            .stack(&self.name);
        match self.command(command.locking(&self.name)).await {
            Ok(_) | Err(Error::StackNotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        if options.remove_leftovers {
            self.remove_leftovers(options);
        }
        Ok(())
    }

    /// Releases the stack's lock, whoever holds it; `pulumi cancel`. In Pulumi Cloud the update that runs is told to
    /// end, and so is one of the same engine host, for whose end it waits up to 30 s. Of any other run a folder or
    /// bucket backend only forgets the lock, and the process that runs it goes on.
    pub async fn cancel(&self) -> Result<()> {
        self.command(Command::new(["cancel"]).flag("yes", true).stack(&self.name)).await.map(drop)
    }

    /// The name without organisation and project.
    pub(crate) fn short_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// Only files with exactly the names that belong to this stack: another's name may begin with this one.
    /// Left over, they are harmless, so a failure here is no error.
    fn remove_leftovers(&self, options: &RemoveOptions) {
        let place = self.workspace.place();
        let (Backend::Folder(folder), false) = (&place.backend, self.has_state_file()) else { return };
        if !self.is_of_this_project() {
            return;
        }
        let root = folder.join(".pulumi");
        let name = self.short_name();
        let remove =
            |file: String| drop(std::fs::remove_file(root.join("stacks").join(&place.project).join(file)));
        let tags = format!("{name}.pulumi-tags");
        for state in STATE_EXTENSIONS.iter().map(|extension| format!("{name}.{extension}")).chain([tags]) {
            let copy = format!("{state}.bak");
            for file in [&state, &copy] {
                SIDE_FILES.iter().for_each(|side| remove(format!("{file}.{side}")));
            }
            if options.remove_backups {
                remove(copy);
            }
        }
        for kind in ["backups", "history", "stacks", "locks/organization"] {
            // Only an empty folder can be removed this way.
            let _ = std::fs::remove_dir(root.join(kind).join(&place.project).join(name));
        }
        if !options.preserve_config {
            let _ = std::fs::remove_file(self.workspace.stack_settings_path(&self.name));
        }
        self.remove_logs();
    }

    /// The CLI keeps a log of each operation in its home, which outlives the stack.
    fn remove_logs(&self) {
        let place = self.workspace.place();
        let logs = place.home.join("logs");
        for entry in std::fs::read_dir(&logs).into_iter().flatten().flatten() {
            if is_log_of(&entry.file_name().to_string_lossy(), &place.project, self.short_name()) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// False when the name says another project.
    fn is_of_this_project(&self) -> bool {
        let mut parts = self.name.rsplit('/').skip(1);
        match (parts.next(), parts.next()) {
            (Some(project), Some(_)) => project == self.workspace.project(),
            _ => true,
        }
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
        let file = |extension: &&str| stacks.join(format!("{}.{extension}", self.short_name()));
        STATE_EXTENSIONS.iter().any(|extension| file(extension).exists())
    }
}

/// Of state files: plain and packed.
const STATE_EXTENSIONS: [&str; 3] = ["json", "json.gz", "json.zst"];

/// What a backend keeps beside a file: its attributes, and a write that was cut off.
const SIDE_FILES: [&str; 2] = ["attrs", "tmp"];

/// `ORGANIZATION+PROJECT+STACK-TIME.log`: the time is digits and one letter, so that no other stack's name passes for it.
fn is_log_of(file: &str, project: &str, stack: &str) -> bool {
    let time = file.split_once('+').and_then(|(_, rest)| {
        rest.strip_prefix(project)?
            .strip_prefix('+')?
            .strip_prefix(stack)?
            .strip_prefix('-')?
            .strip_suffix(".log")
    });
    let (date, clock) = time.and_then(|time| time.split_once('T')).unwrap_or_default();
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(date, 8) && digits(clock, 6)
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
        let all = RemoveOptions {
            force: true,
            preserve_config: true,
            remove_backups: true,
            remove_leftovers: true,
        };
        stack.remove_with(&all).await.unwrap();
        stack.cancel().await.unwrap();
        assert_eq!(
            recorder.lines(),
            [
                "stack init --copy-config-from=old --no-select --remote-config --secrets-provider=awskms://alias/a \
                 --stack=dev --teams=ops",
                "stack select --stack=dev",
                "stack rename --stack=dev -- -prod",
                "stack rm --stack=dev --yes",
                "stack rm --force --preserve-config --remove-backups --stack=dev --yes",
                "cancel --stack=dev --yes",
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

    /// Everything below a folder, by its path there.
    fn files(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap().flatten() {
                match entry.path().is_dir() {
                    true => folders.push(entry.path()),
                    false => {
                        found.push(entry.path().strip_prefix(folder).unwrap().to_string_lossy().into_owned());
                    }
                }
            }
        }
        found.sort();
        found
    }

    #[tokio::test]
    async fn a_removal_touches_no_file_of_a_stack_whose_name_begins_the_same() {
        let workspace = Recorder::default().workspace();
        let root = workspace.directory().parent().unwrap().to_owned();
        let stacks = root.join("state/.pulumi/stacks/shop");
        std::fs::create_dir_all(&stacks).unwrap();
        std::fs::create_dir_all(root.join("home/logs")).unwrap();
        let others =
            ["dev.eu.json", "dev.eu.json.bak", "dev.eu.json.attrs", "dev.json.json", "dev.eu.pulumi-tags"];
        let own = ["dev.json.bak", "dev.json.bak.attrs", "dev.json.tmp", "dev.pulumi-tags.attrs"];
        for file in others.iter().chain(&own) {
            std::fs::write(stacks.join(file), "x").unwrap();
        }
        std::fs::write(root.join("home/logs/up+shop+dev-eu-1.log"), "x").unwrap();
        for settings in ["Pulumi.dev.yaml", "Pulumi.dev.eu.yaml"] {
            std::fs::write(workspace.directory().join(settings), "x").unwrap();
        }
        let before = files(&root);
        let (stack, elsewhere) = (workspace.stack("dev"), workspace.stack("organization/other/dev"));
        stack.remove().await.unwrap();
        let all = RemoveOptions { remove_backups: true, remove_leftovers: true, ..RemoveOptions::default() };
        elsewhere.remove_with(&all).await.unwrap();
        assert_eq!(
            files(&root),
            before,
            "the default leaves what the engine leaves, and so does another project"
        );
        let leftovers = RemoveOptions { remove_backups: false, ..all.clone() };
        stack.remove_with(&leftovers).await.unwrap();
        assert!(stacks.join("dev.json.bak").exists() && !stacks.join("dev.json.tmp").exists());
        stack.remove_with(&all).await.unwrap();
        let is_own = |file: &String| {
            own.iter().any(|own| file.ends_with(&format!("/{own}"))) || file.ends_with("/Pulumi.dev.yaml")
        };
        let kept: Vec<String> = before.into_iter().filter(|file| !is_own(file)).collect();
        assert_eq!(files(&root), kept);
    }

    #[test]
    fn a_log_belongs_to_the_stack_of_exactly_its_name() {
        let is = |file: &str| is_log_of(file, "shop", "dev");
        assert!(is("organization+shop+dev-20261129T033952.log"));
        for other in [
            "organization+shop+dev-eu-20261129T033952.log",
            "organization+shop+dev-20261129T033952-20261129T033952.log",
            "organization+shop+dev.eu-20261129T033952.log",
            "organization+shopping+dev-20261129T033952.log",
            "organization+shop+dev-20261129T033952.txt",
            "dev-20261129T033952.log",
        ] {
            assert!(!is(other), "{other}");
        }
    }

    #[tokio::test]
    async fn leftovers_of_a_stack_that_is_there_again_are_no_leftovers() {
        let workspace = Recorder::default().workspace();
        let stacks = workspace.directory().parent().unwrap().join("state/.pulumi/stacks/shop");
        std::fs::create_dir_all(&stacks).unwrap();
        for file in ["dev.json", "dev.json.bak"] {
            std::fs::write(stacks.join(file), "x").unwrap();
        }
        let all = RemoveOptions { remove_backups: true, remove_leftovers: true, ..RemoveOptions::default() };
        workspace.stack("dev").remove_with(&all).await.unwrap();
        assert_eq!(files(&stacks), ["dev.json", "dev.json.bak"]);
    }
}
