//! A stack and what can be done with it. Each method is one `pulumi` process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::event::{EngineEvent, EventKind, StepMetadata, SummaryEvent};
use crate::operation::{self, Finished};
use crate::program::Program;
use crate::value::Value;
use crate::workspace::{Backend, Workspace};

/// One stack of a [`Workspace`]. Cheap to clone; holds nothing open.
#[derive(Debug, Clone)]
pub struct Stack {
    pub(crate) workspace: Workspace,
    pub(crate) name: String,
}

/// How an operation runs. The default waits a moment for another's lock, reports no events and cannot
/// be cancelled.
#[derive(Debug, Clone)]
pub struct Options {
    /// Receives every engine event while the operation runs.
    pub events: Option<mpsc::UnboundedSender<EngineEvent>>,
    pub cancel: CancellationToken,
    /// How long to wait for a living process to release the stack's lock.
    pub lock_patience: Duration,
    /// In `up` and `preview`: ask the providers first what is really there, instead of believing the
    /// state.
    pub refresh: bool,
    /// How long one `pulumi` process may take before it is cancelled; half an hour by default.
    pub limit: Duration,
    /// How many resource steps run at once; the engine's own default when absent.
    pub parallel: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            events: None,
            cancel: CancellationToken::new(),
            lock_patience: Duration::from_secs(2),
            refresh: false,
            limit: Duration::from_secs(30 * 60),
            parallel: None,
        }
    }
}

/// What an operation did, or would do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// Steps by their operation: `create`, `same`, ...
    pub changes: BTreeMap<String, u64>,
    /// The steps in the order the engine announced them, the stack itself left out.
    pub steps: Vec<StepMetadata>,
}

impl Summary {
    pub fn is_unchanged(&self) -> bool {
        self.changes.iter().all(|(op, count)| op == "same" || *count == 0)
    }
}

/// The result of [`Stack::up`].
#[derive(Debug, Clone)]
pub struct Update {
    /// The stack's outputs; of an inline program only.
    pub outputs: BTreeMap<String, Value>,
    pub summary: Summary,
}

impl Stack {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Creates the stack; `pulumi stack init`. [`Error::StackExists`] when there is one.
    pub async fn create(&self, options: &Options) -> Result<()> {
        let args = ["stack", "init", self.name.as_str(), "--no-select"];
        operation::locking(self, options, || operation::plain(self, "stack init", &args, options))
            .await
            .map(drop)
    }

    /// Creates the stack unless it exists; true when it was created.
    pub async fn ensure(&self, options: &Options) -> Result<bool> {
        if self.has_state_file() {
            return Ok(false);
        }
        match self.create(options).await {
            Ok(()) => Ok(true),
            Err(Error::StackExists { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Applies an inline program; `pulumi up`.
    pub async fn up(&self, program: Arc<dyn Program>, options: &Options) -> Result<Update> {
        let args = ["--yes", "--skip-preview", "--suppress-outputs"];
        let finished = operation::locking(self, options, || {
            operation::engine(self, "up", &args, Some(Arc::clone(&program)), options)
        })
        .await?;
        let outputs =
            finished.outputs.iter().flatten().map(|(name, input)| (name.clone(), input.value.clone()));
        Ok(Update { outputs: outputs.collect(), summary: summarize(finished.summary, finished.events) })
    }

    /// Plans an inline program and changes nothing; `pulumi preview`. Takes no lock.
    pub async fn preview(&self, program: Arc<dyn Program>, options: &Options) -> Result<Summary> {
        let Finished { summary, events, .. } =
            operation::engine(self, "preview", &["--suppress-outputs"], Some(program), options).await?;
        Ok(summarize(summary, events))
    }

    /// Deletes every resource; `pulumi destroy`. The stack itself stays. The program only stands in for
    /// the project's language, it is not run.
    pub async fn destroy(&self, program: Arc<dyn Program>, options: &Options) -> Result<Summary> {
        let args = ["--yes", "--skip-preview", "--suppress-outputs"];
        let Finished { summary, events, .. } = operation::locking(self, options, || {
            operation::engine(self, "destroy", &args, Some(Arc::clone(&program)), options)
        })
        .await?;
        Ok(summarize(summary, events))
    }

    /// Deletes the stack, its history, backups and settings file; `pulumi stack rm`. It must be empty.
    /// A stack that does not exist is a success.
    pub async fn remove(&self, options: &Options) -> Result<()> {
        let args = ["stack", "rm", "--yes", "--remove-backups", "--stack", self.name.as_str()];
        match operation::locking(self, options, || operation::plain(self, "stack rm", &args, options)).await {
            Ok(_) | Err(Error::StackNotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        self.remove_traces();
        Ok(())
    }

    /// The deployment as `pulumi stack export` prints it; secrets stay encrypted.
    pub async fn export(&self, options: &Options) -> Result<serde_json::Value> {
        let args = ["stack", "export", "--stack", self.name.as_str()];
        let exit = operation::plain(self, "stack export", &args, options).await?;
        serde_json::from_str(&exit.stdout)
            .map_err(|error| Error::Output { command: "stack export".to_owned(), message: error.to_string() })
    }

    /// What `stack rm` leaves in a folder backend and in Pulumi's home: empty folders and the CLI's own
    /// logs of the stack. Left over, they are harmless, so a failure here is no error.
    fn remove_traces(&self) {
        if let Backend::Folder(folder) = &self.workspace.backend {
            let stacks = folder.join(".pulumi/stacks").join(&self.workspace.project);
            // A write that was cut off leaves a temporary file beside the one that is gone now.
            remove_files(&stacks, |name| name.starts_with(&format!("{}.", self.name)));
            for place in ["backups", "history", "stacks", "locks/organization"] {
                let path = folder.join(".pulumi").join(place).join(&self.workspace.project).join(&self.name);
                // Only an empty folder can be removed this way.
                let _ = std::fs::remove_dir(path);
            }
        }
        let settings = format!("Pulumi.{}.yaml", self.name);
        let _ = std::fs::remove_file(self.workspace.directory.join(settings));
        let mark = format!("+{}+{}-", self.workspace.project, self.name);
        remove_files(&self.workspace.home.join("logs"), |name| name.contains(&mark));
    }

    /// True when a folder backend has a state file of the stack: no process is needed to know.
    fn has_state_file(&self) -> bool {
        let Backend::Folder(folder) = &self.workspace.backend else { return false };
        let stacks = folder.join(".pulumi/stacks").join(&self.workspace.project);
        ["json", "json.gz"].iter().any(|extension| stacks.join(format!("{}.{extension}", self.name)).exists())
    }
}

fn remove_files(folder: &Path, which: impl Fn(&str) -> bool) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if which(&entry.file_name().to_string_lossy()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn summarize(summary: Option<SummaryEvent>, events: Vec<EngineEvent>) -> Summary {
    let steps = events.into_iter().filter_map(|event| match event.kind {
        EventKind::ResourcePre(step) => Some(step),
        _ => None,
    });
    // Looking is no change, and the stack and its providers are Pulumi's own.
    let own = ["pulumi:pulumi:", "pulumi:providers:"];
    let steps = steps.filter(|step| step.op != "refresh");
    let steps = steps.filter(|step| !own.iter().any(|own| step.resource_type.starts_with(own))).collect();
    Summary { changes: summary.map(|summary| summary.resource_changes).unwrap_or_default(), steps }
}
