//! One project: where its state is, how its secrets are kept, which providers are attached.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::engine::{Backend, Command, Engine, Passphrase, Place};
use crate::error::{Error, Result};
use crate::json;

mod account;
#[cfg(feature = "git")]
mod git;
mod login;
mod observer;
mod plugins;
mod project;
mod settings;
mod stacks;

pub use account::{TokenInformation, WhoAmI};
#[cfg(feature = "git")]
pub use git::GitSource;
pub use login::Login;
pub(crate) use observer::Observer;
pub use observer::Ran;
pub use plugins::{PluginInfo, PluginSource};
pub use project::{InstallOptions, NewOptions};
pub(crate) use settings::replace;
pub use settings::{ProjectBackend, ProjectSettings, Runtime, StackSettings};
pub use stacks::StackSummary;

/// As it is seen from the current folder of this process.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// Everything a stack's operations share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Workspace {
    engine: Arc<dyn Engine>,
    observer: Option<Observer>,
    pub(crate) place: Place,
}

impl Workspace {
    /// A project for inline programs, in `directory`. `Pulumi.yaml` and the stacks' settings files are
    /// kept there; `home` is Pulumi's own folder (plugins, selection). Both are created, and relative ones are in the
    /// current folder of this process, now. A `Pulumi.yaml` that is
    /// there already is read and never written: [`Error::Settings`] when it cannot be read or is of another
    /// project.
    pub fn inline(
        engine: impl Engine + 'static,
        project: &str,
        directory: impl Into<PathBuf>,
        home: impl Into<PathBuf>,
        backend: Backend,
    ) -> Result<Self> {
        let workspace = Self::open(engine, project, directory.into(), home.into(), backend)?;
        match workspace.project_settings()? {
            // The runtime named here is never started: `--client` stands in for it.
            None => workspace.save_project_settings(&ProjectSettings::new(project, "yaml"))?,
            Some(settings) if settings.name == project => {}
            Some(settings) => {
                let path = settings::project_file(workspace.directory());
                let message = format!("it is of the project {}, not of {project}", settings.name);
                return Err(Error::Settings { path, message });
            }
        }
        Ok(workspace)
    }

    /// As [`Workspace::inline`], with everything in a temporary folder that is removed with the last
    /// copy of the workspace and of its stacks.
    pub fn temporary(engine: impl Engine + 'static, project: &str) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(Error::io("make a temporary folder"))?;
        let root = folder.path().to_owned();
        let state = Backend::Folder(root.join("state"));
        let mut workspace = Self::inline(engine, project, root.join("project"), root.join("home"), state)?;
        workspace.place.keep = Some(Arc::new(folder));
        Ok(workspace)
    }

    /// A project that is already in `directory`, with a program of its own. Its name is what its
    /// `Pulumi.yaml` (or `.yml`, `.json`) says; [`Error::Settings`] when there is none.
    pub fn local(
        engine: impl Engine + 'static,
        directory: impl Into<PathBuf>,
        home: impl Into<PathBuf>,
        backend: Backend,
    ) -> Result<Self> {
        let directory = directory.into();
        let settings = settings::read_project(&directory)?.ok_or_else(|| Error::Settings {
            path: directory.join("Pulumi.yaml"),
            message: "there is no such file".to_owned(),
        })?;
        Self::open(engine, &settings.name, directory, home.into(), backend)
    }

    fn open(
        engine: impl Engine + 'static,
        project: &str,
        directory: PathBuf,
        home: PathBuf,
        backend: Backend,
    ) -> Result<Self> {
        let made = |path: &Path, what| std::fs::create_dir_all(path).map_err(Error::io(what));
        // Engines run elsewhere, and the process may go to another folder: each path means the same from here on.
        let (directory, home) = (absolute(directory), absolute(home));
        let backend = match backend {
            Backend::Folder(folder) => Backend::Folder(absolute(folder)),
            url => url,
        };
        made(&directory, "create the project folder")?;
        made(&home, "create Pulumi's home folder")?;
        if let Backend::Folder(folder) = &backend {
            made(folder, "create the state folder")?;
        }
        let place = Place {
            project: project.to_owned(),
            directory,
            backend,
            home,
            passphrase: Passphrase::default(),
            secrets_provider: None,
            attached: Default::default(),
            adopts: Default::default(),
            env: Default::default(),
            inherited: Default::default(),
            timeout: None,
            lock_timeout: Duration::from_secs(2),
            keep: None,
        };
        Ok(Self { engine: Arc::new(engine), observer: None, place })
    }

    /// Encrypt secrets with the passphrase in this file.
    pub fn with_passphrase_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.place.passphrase = Passphrase::File(absolute(path.into()));
        self
    }

    /// Encrypt secrets with the empty passphrase, which only encodes them: for tests, and for stacks that keep
    /// no secret. Without a passphrase or a secrets provider a stack is not created: [`Error::Secrets`].
    pub fn with_empty_passphrase(mut self) -> Self {
        self.place.passphrase = Passphrase::Empty;
        self
    }

    /// Encrypt the secrets of new stacks with this provider, such as `awskms://...`, instead of the
    /// passphrase.
    pub fn with_secrets_provider(mut self, url: &str) -> Self {
        self.place.secrets_provider = Some(url.to_owned());
        self
    }

    /// A provider that already serves on this port of 127.0.0.1: the engine connects to it instead of
    /// starting a plugin.
    pub fn with_attached_provider(mut self, package: &str, port: u16) -> Self {
        self.place.attached.insert(package.to_owned(), port);
        self
    }

    /// Declares that the creates of a package find what an earlier call has made, by name and labels for example.
    /// A create that was cut off is then settled by the next operation that makes its resource. Of other packages it
    /// stays pending, as with Pulumi, until a refresh or a person settles it: there may be an object that no state
    /// knows. Only [`crate::Host`] settles by itself.
    pub fn with_adopting_package(mut self, package: &str) -> Self {
        self.place.adopts.insert(package.to_owned());
        self
    }

    /// The engine and what it starts get the environment that this process has now, as programs that use
    /// Pulumi's own Automation API do: proxies, credentials of clouds, `PATH`. What the workspace says itself
    /// counts before it. By default nothing is inherited.
    pub fn inherit_env(mut self) -> Self {
        self.place.inherited = std::env::vars_os().collect();
        self
    }

    /// One more environment variable for the engine and what it starts. Without [`Workspace::inherit_env`] its
    /// environment is otherwise built by the engine's driver and inherits nothing.
    pub fn with_env(mut self, key: &str, value: &str) -> Self {
        self.place.env.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Takes back what [`Workspace::with_env`] has set.
    pub fn without_env(mut self, key: &str) -> Self {
        self.place.env.remove(key);
        self
    }

    /// What [`Workspace::with_env`] has set.
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.place.env
    }

    /// How long a command (not an operation: those have [`crate::Options`]) may take. No limit by default.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.place.timeout = Some(timeout);
        self
    }

    /// How long a command (not an operation: those have [`crate::Options`]) waits for a living process to
    /// release the stack's lock, 2 s by default.
    pub fn with_lock_timeout(mut self, timeout: Duration) -> Self {
        self.place.lock_timeout = timeout;
        self
    }

    /// The project's name.
    pub fn project(&self) -> &str {
        &self.place.project
    }

    /// Holds `Pulumi.yaml` and the stacks' settings files.
    pub fn directory(&self) -> &Path {
        &self.place.directory
    }

    /// Where the state is.
    pub fn backend(&self) -> &Backend {
        &self.place.backend
    }

    /// Everything that an engine is told about this workspace.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What runs the stacks.
    pub fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    /// Runs any command of the engine in this workspace and returns what it prints.
    pub async fn command(&self, command: &Command) -> Result<String> {
        self.observed(&command.name(), command.about(), self.engine.command(&self.place, command)).await
    }

    /// As [`Workspace::command`], for a command that prints JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, command: &Command) -> Result<T> {
        let printed = self.command(command).await?;
        json::read(&printed).map_err(|error| {
            // The parser's words could quote a secret.
            let message = format!("it is not the JSON that was expected, see line {}", error.line());
            Error::Output { command: command.name(), message }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    #[test]
    fn a_temporary_workspace_is_removed_with_its_last_copy() {
        let workspace = Workspace::temporary(Recorder::default(), "shop").unwrap();
        let folder = workspace.directory().parent().unwrap().to_owned();
        let stack = workspace.stack("dev");
        let Backend::Folder(state) = workspace.backend().clone() else { panic!("no folder") };
        drop(workspace);
        assert!(folder.join("project/Pulumi.yaml").exists() && state.starts_with(&folder));
        drop(stack);
        assert!(!folder.exists());
    }

    #[test]
    fn relative_folders_and_files_are_those_of_this_process() {
        let here = std::env::current_dir().unwrap();
        let folder = tempfile::tempdir_in(".").unwrap();
        let root = folder.path().strip_prefix(&here).unwrap();
        let state = Backend::Folder(root.join("state"));
        let engine = Recorder::default();
        let workspace =
            Workspace::inline(engine, "shop", root.join("project"), root.join("home"), state).unwrap();
        let place = workspace.with_passphrase_file(root.join("phrase")).place;
        let of_process = |name: &str| here.join(root).join(name);
        assert_eq!((place.directory, place.home), (of_process("project"), of_process("home")));
        assert_eq!(place.backend, Backend::Folder(of_process("state")));
        assert_eq!(place.passphrase, Passphrase::File(of_process("phrase")));
    }

    #[tokio::test]
    async fn every_command_sees_the_environment_and_the_timeouts_as_they_were_set() {
        let recorder = Recorder::default();
        let plain = recorder.workspace();
        assert!(plain.env().is_empty());
        let both = plain.clone().with_env("REGION", "east").with_env("ZONE", "b").with_env("REGION", "west");
        let minute = Duration::from_secs(60);
        let one = both
            .clone()
            .without_env("ZONE")
            .without_env("ABSENT")
            .with_timeout(minute)
            .with_lock_timeout(Duration::ZERO);
        for workspace in [&plain, &both, &one] {
            workspace.command(&Command::new(["whoami"])).await.unwrap();
        }
        let pairs = |env: &BTreeMap<String, String>| {
            env.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
        };
        let places = recorder.places();
        assert!(places[0].env.is_empty());
        assert_eq!(pairs(&places[1].env), ["REGION=west", "ZONE=b"]);
        assert_eq!((pairs(&places[2].env), one.env()), (vec!["REGION=west".to_owned()], &places[2].env));
        let limits = places.iter().map(|place| (place.timeout, place.lock_timeout.as_secs()));
        assert_eq!(limits.collect::<Vec<_>>(), [(None, 2), (None, 2), (Some(minute), 0)]);
    }

    #[tokio::test]
    async fn what_is_not_the_json_that_was_expected_is_an_error_that_does_not_quote_it() {
        let workspace = Recorder::answering(["[\n{\"name\": sesame"]).workspace();
        let error = workspace.stacks(false).await.unwrap_err();
        assert!(matches!(&error, Error::Output { command, .. } if command == "stack ls"), "{error:?}");
        assert!(error.to_string().contains("line 2") && !error.to_string().contains("sesame"), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_with_its_cause() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let open = |project: PathBuf, home: PathBuf, state: PathBuf| {
            Workspace::inline(Recorder::default(), "shop", project, home, Backend::Folder(state))
        };
        let (inside, fine) = (file.join("inside"), |name: &str| folder.path().join(name));
        for (opened, expected) in [
            (open(inside.clone(), fine("home"), fine("state")), "create the project folder"),
            (open(fine("project"), inside.clone(), fine("state")), "create Pulumi's home folder"),
            (open(fine("project"), fine("home"), inside), "create the state folder"),
        ] {
            let error = opened.unwrap_err();
            let Error::Io { action, source } = &error else { panic!("{error:?}") };
            assert_eq!((*action, source.kind()), (expected, std::io::ErrorKind::NotADirectory));
        }
    }
}
