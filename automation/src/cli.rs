//! The `pulumi` CLI as an [`Engine`]: one process for each command and each operation.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::engine::{Command, Engine, Operation, OperationResult, Passphrase, Place};
use crate::error::{Error, Result};
use crate::folder::locking;
use crate::{argv, environment};

mod events;
mod install;
mod process;
mod run;
mod tail;
mod turn;

pub use install::CliInstall;

/// The oldest CLI whose wire and flags this crate relies on.
pub const MINIMUM_VERSION: (u64, u64, u64) = (3, 248, 0);

/// A command that Pulumi does not have.
const OF_THE_HOST: [&str; 2] = ["stack", "repair"];

/// A `pulumi` executable of a supported version.
#[derive(Debug, Clone)]
pub struct Cli {
    path: PathBuf,
    version: String,
    /// How many more processes may be started now.
    slots: Option<Arc<Semaphore>>,
}

/// Where an executable is, whatever folder a process is later started in.
pub(crate) fn found(path: PathBuf) -> Result<PathBuf> {
    which::which(&path).map_err(|_| Error::CliMissing { path })
}

impl Cli {
    /// Asks the executable for its version; about 0.3 s. A mere name is looked for in the `PATH` of this process, once:
    /// later runs start what was found. [`Error::CliMissing`] when there is none, or it does not start,
    /// [`Error::CliVersion`] when it is not one that this crate works with.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let cli = Self::open_any_version(path).await?;
        match parse_version(&cli.version) {
            Some(version) if is_supported(version) => Ok(cli),
            _ => Err(unsupported(cli.version)),
        }
    }

    /// As [`Cli::open`], and takes a version that this crate was never tried with: what it does then is not known.
    pub async fn open_any_version(path: impl Into<PathBuf>) -> Result<Self> {
        let path = found(path.into())?;
        let output = tokio::process::Command::new(&path)
            .arg("version")
            .env_clear()
            .env("PATH", environment::PATH)
            .env("PULUMI_SKIP_UPDATE_CHECK", "true")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|_| Error::CliMissing { path: path.clone() })?;
        let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Self { path, version: found, slots: None })
    }

    /// At most this many processes of this copy and its clones run at once; the others wait in order,
    /// and their limits begin when they start. A process needs about 100 MB.
    pub fn with_processes(mut self, most: usize) -> Self {
        self.slots = Some(Arc::new(Semaphore::new(most.max(1))));
        self
    }

    /// The executable.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As the CLI prints it, for example `v3.276.0`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Waits for leave to start a process; it lasts as long as what is returned.
    async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed, so every wait ends with leave.
        Arc::clone(self.slots.as_ref()?).acquire_owned().await.ok()
    }

    /// Everything that the process finds in its environment; nothing is inherited.
    fn env(&self, place: &Place) -> Vec<(OsString, OsString)> {
        let mut env = environment::of_engine(place, self.path.parent());
        let mut set = |key: &str, value: OsString| env.push((key.into(), value));
        set("PULUMI_BACKEND_URL", place.backend.url().into());
        match &place.passphrase {
            Passphrase::Empty => set("PULUMI_CONFIG_PASSPHRASE", OsString::new()),
            Passphrase::File(file) => set("PULUMI_CONFIG_PASSPHRASE_FILE", file.clone().into()),
            Passphrase::Absent => {}
        }
        if !place.attached.is_empty() {
            let list: Vec<String> =
                place.attached.iter().map(|(name, port)| format!("{name}:{port}")).collect();
            set("PULUMI_DEBUG_PROVIDERS", list.join(",").into());
        }
        env.extend(environment::of_place(place));
        env
    }
}

#[async_trait]
impl Engine for Cli {
    fn version(&self) -> &str {
        &self.version
    }

    async fn command(&self, place: &Place, command: &Command) -> Result<String> {
        if command.words == OF_THE_HOST {
            return Err(Error::NeedsHost { command: command.name() });
        }
        let Some(stack) = &command.locks else {
            return run::plain(self, place, command).await;
        };
        locking(place, stack, place.lock_timeout, &CancellationToken::new(), || {
            run::plain(self, place, command)
        })
        .await
    }

    async fn operate(&self, place: &Place, operation: &Operation<'_>) -> Result<OperationResult> {
        // Before it waits for anything: what cannot be done is refused at once.
        let command = argv::of_cli_operation(operation)?;
        if operation.kind.is_preview() {
            return run::engine(self, place, operation, &command).await;
        }
        let options = operation.options;
        locking(place, operation.stack, options.lock_timeout, &options.cancel, || {
            run::engine(self, place, operation, &command)
        })
        .await
    }
}

pub(crate) fn is_supported(version: (u64, u64, u64)) -> bool {
    version >= MINIMUM_VERSION && version.0 == MINIMUM_VERSION.0
}

pub(crate) fn unsupported(found: String) -> Error {
    let (major, minor, patch) = MINIMUM_VERSION;
    Error::CliVersion { found, needed: format!("at least {major}.{minor}.{patch}") }
}

/// Of a text that is a version.
pub(crate) fn parse_version(text: &str) -> Option<(u64, u64, u64)> {
    let mut parts = text.trim().trim_start_matches('v').split(['-', '+']).next()?.split('.');
    let mut next = || parts.next()?.parse().ok();
    Some((next()?, next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_cli_prints_them() {
        assert_eq!(parse_version("v3.276.0\n"), Some((3, 276, 0)));
        assert_eq!(parse_version("3.260.0-dev.1+abc"), Some((3, 260, 0)));
        assert_eq!(parse_version("dev"), None);
        assert_eq!(parse_version(crate::versions::OLDEST), Some(MINIMUM_VERSION));
    }

    #[tokio::test]
    async fn a_missing_cli_is_a_typed_error() {
        let error = Cli::open("/nonexistent/pulumi").await.unwrap_err();
        assert!(matches!(error, Error::CliMissing { .. }));
    }

    #[tokio::test]
    async fn what_was_opened_by_name_or_by_a_relative_path_is_what_runs_in_any_folder() {
        use std::os::unix::fs::PermissionsExt as _;
        let named = Cli::open_any_version("echo").await.unwrap();
        assert!(named.path().is_absolute(), "{:?}", named.path());

        let folder = tempfile::tempdir_in(".").unwrap();
        let relative = folder.path().strip_prefix(std::env::current_dir().unwrap()).unwrap().join("pulumi");
        std::fs::write(&relative, "#!/bin/sh\necho v3.276.0\n").unwrap();
        std::fs::set_permissions(&relative, std::fs::Permissions::from_mode(0o755)).unwrap();
        let cli = Cli::open(&relative).await.unwrap();
        assert!(cli.path().is_absolute(), "{:?}", cli.path());
        let workspace = crate::Workspace::temporary(cli, "shop").unwrap();
        // It runs in the project's folder.
        assert!(workspace.command(&Command::new(["version"])).await.unwrap().contains("v3.276.0"));
    }

    #[tokio::test]
    async fn a_program_that_is_not_pulumi_is_refused_by_its_version() {
        let error = Cli::open("echo").await.unwrap_err();
        assert!(matches!(error, Error::CliVersion { .. }), "{error}");
        // It prints its argument.
        assert_eq!(Cli::open_any_version("echo").await.unwrap().version(), "version");
    }
}
