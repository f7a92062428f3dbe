//! The `pulumi` CLI as an [`Engine`]: one process for each command and each operation.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::engine::{Command, Engine, Finished, Operation, Passphrase, Place};
use crate::error::{Error, Result};

mod argv;
mod classify;
mod events;
mod install;
mod lock;
mod process;
mod remote;
mod run;
mod side_files;
mod tail;

pub(crate) use classify::is_absent_key;
pub use install::CliInstall;

/// The oldest CLI whose wire and flags this crate relies on.
pub const MINIMUM_VERSION: (u64, u64, u64) = (3, 238, 0);

/// Keeps the engine from installing plugins that nobody has asked it to.
const NO_DOWNLOADS: &str = "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION";

/// A `pulumi` executable of a supported version.
#[derive(Debug, Clone)]
pub struct Cli {
    path: PathBuf,
    version: String,
    /// How many more processes may be started now.
    slots: Option<Arc<Semaphore>>,
}

impl Cli {
    /// Asks the executable for its version; about 0.3 s. [`Error::CliMissing`] when it does not start,
    /// [`Error::CliVersion`] when it is not one that this crate works with.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let output = tokio::process::Command::new(&path)
            .arg("version")
            .env("PULUMI_SKIP_UPDATE_CHECK", "true")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|_| Error::CliMissing { path: path.clone() })?;
        let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match parse_version(&found) {
            Some(version) if version >= MINIMUM_VERSION && version.0 == MINIMUM_VERSION.0 => {
                Ok(Self { path, version: found, slots: None })
            }
            _ => {
                let (major, minor, patch) = MINIMUM_VERSION;
                Err(Error::CliVersion { found, needed: format!("{major}.{minor}.{patch}") })
            }
        }
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

    /// As the CLI prints it, for example `v3.255.0`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Waits for a turn; it lasts as long as what is returned.
    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed, so every wait ends with a turn.
        Arc::clone(self.slots.as_ref()?).acquire_owned().await.ok()
    }

    /// Everything that the process finds in its environment; nothing is inherited.
    fn env(&self, place: &Place) -> Vec<(OsString, OsString)> {
        let mut env: Vec<(OsString, OsString)> = Vec::new();
        let mut set = |key: &str, value: OsString| env.push((key.into(), value));
        // The CLI finds its language hosts beside itself.
        let beside = self.path.parent().map(Path::as_os_str).unwrap_or_default();
        let mut path = beside.to_owned();
        path.push(":/usr/local/bin:/usr/bin:/bin");
        set("PATH", path);
        set("HOME", place.home.clone().into());
        set("PULUMI_HOME", place.home.clone().into());
        set("PULUMI_BACKEND_URL", place.backend.url().into());
        set("PULUMI_AUTOMATION_API", "true".into());
        set("PULUMI_DEBUG_COMMANDS", "true".into());
        set("PULUMI_SKIP_UPDATE_CHECK", "true".into());
        set(NO_DOWNLOADS, "true".into());
        set("PULUMI_DISABLE_REGISTRY_RESOLVE", "true".into());
        set("PULUMI_DIY_BACKEND_NO_LEGACY_WARNING", "true".into());
        // A lost settings file must not silently get a new salt.
        set("PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER", "true".into());
        set("NO_COLOR", "1".into());
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
        for (key, value) in &place.env {
            set(key, value.into());
        }
        env
    }
}

#[async_trait]
impl Engine for Cli {
    fn version(&self) -> &str {
        &self.version
    }

    async fn command(&self, place: &Place, command: &Command) -> Result<String> {
        let Some(stack) = &command.locks else {
            return run::plain(self, place, command).await;
        };
        run::locking(place, stack, place.lock_patience, &CancellationToken::new(), || {
            run::plain(self, place, command)
        })
        .await
    }

    async fn operate(&self, place: &Place, operation: &Operation<'_>) -> Result<Finished> {
        if operation.kind.is_preview() {
            return run::engine(self, place, operation).await;
        }
        let options = operation.options;
        run::locking(place, operation.stack, options.lock_patience, &options.cancel, || {
            run::engine(self, place, operation)
        })
        .await
    }
}

fn parse_version(text: &str) -> Option<(u64, u64, u64)> {
    let mut parts = text.trim().trim_start_matches('v').split(['-', '+']).next()?.split('.');
    let mut next = || parts.next()?.parse().ok();
    Some((next()?, next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_cli_prints_them() {
        assert_eq!(parse_version("v3.255.0\n"), Some((3, 255, 0)));
        assert_eq!(parse_version("3.260.0-dev.1+abc"), Some((3, 260, 0)));
        assert_eq!(parse_version("dev"), None);
    }

    #[tokio::test]
    async fn a_missing_cli_is_a_typed_error() {
        let error = Cli::open("/nonexistent/pulumi").await.unwrap_err();
        assert!(matches!(error, Error::CliMissing { .. }));
    }

    #[tokio::test]
    async fn a_program_that_is_not_pulumi_is_refused_by_its_version() {
        let error = Cli::open("echo").await.unwrap_err();
        assert!(matches!(error, Error::CliVersion { .. }), "{error}");
    }
}
