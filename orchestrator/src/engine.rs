//! Where stacks meet Pulumi: compile, apply, destroy, plan, export, and every failure as a problem.

mod compile;
mod export;
mod failure;
mod import;
mod protect;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use automation::stack::RemoveOptions;
use automation::{Backend, Options, Program, Summary, Workspace};
use contracts::plan::{Plan, PlanStep};
use contracts::stack::StackRepair;
use contracts::{ErrorCode, Problem};
use provider_server::{Authority, Registry, Server};
use stacks::{Inline, PROJECT, Stack};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{Instrument as _, Span};

use crate::data::Layout;
use crate::tools::Driver;
pub use compile::{compile, shared_stack, stack_of, stack_of_stray, stack_to_delete};
pub use export::without_password;
pub use failure::provider_problem;
pub use import::resources;

/// The engine of one installation: one project, one state folder, the providers attached in process.
pub struct Engine {
    workspace: Workspace,
    server: Server,
    driver: Arc<dyn automation::Engine>,
    /// Where the CLI is or will be. For people: exported stacks are used with it.
    pulumi_folder: PathBuf,
    layout: Layout,
    plugin_folder: String,
    /// Of the providers, for whoever runs an exported stack.
    settings: Vec<(String, String)>,
    /// Places of those who only look: a preview costs what an apply costs.
    looks: Semaphore,
}

/// So many previews run at once.
const LOOKS: usize = 4;

/// How long a preview waits for its turn, and how long it may take.
const LOOK_PATIENCE: Duration = Duration::from_secs(60);
const LOOK_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// What previews of stacks that are not there are planned in.
const SCRATCH: &str = "preview-";

/// How long the engine host stays when nobody needs it: starting it takes longer than a create.
const STAY_WARM: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a command of the engine may take: most are a look at files.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// How long an operation may take that does not say less.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(30 * 60);

const AN_HOUR: Duration = Duration::from_secs(60 * 60);

/// How long a delete waits for provider work that an ended engine has left behind.
const SETTLE: Duration = Duration::from_secs(120);

impl Engine {
    /// The providers are attached to whatever runs the stacks.
    pub async fn start(
        driver: Driver,
        pulumi_folder: PathBuf,
        layout: &Layout,
        database: Option<String>,
        registry: Registry,
        plugin_folder: String,
        settings: Vec<(String, String)>,
    ) -> Result<Self, Problem> {
        let server = Server::start(registry).await.map_err(|error| {
            Problem::new(ErrorCode::Internal, format!("The providers cannot be served: {error}."))
        })?;
        let is_warm = matches!(driver, Driver::Host(_));
        let driver: Arc<dyn automation::Engine> = match driver {
            Driver::Host(host) => Arc::new(host.with_idle_limit(STAY_WARM)),
            Driver::Cli(cli) => Arc::new(cli),
        };
        let state = database.map_or_else(|| Backend::Folder(layout.state()), Backend::Url);
        let workspace = open(&driver, layout, &server, &layout.pulumi(), state)?;
        if is_warm {
            warm_up(workspace.clone());
        }
        clear_scratch(&layout.pulumi());
        let (layout, looks) = (layout.clone(), Semaphore::new(LOOKS));
        Ok(Self { workspace, server, driver, pulumi_folder, layout, plugin_folder, settings, looks })
    }

    /// Creates the Pulumi stack when it is not there, then brings it to what `stack` says. `authority` is the
    /// operation's.
    pub async fn apply(
        &self,
        stack: &Stack,
        options: &Options,
        authority: Authority,
    ) -> Result<Summary, Problem> {
        let handle = self.workspace.stack(&stack.name);
        let work = async {
            let _fenced = self.server.fenced(&stack.name, authority);
            handle.ensure().await?;
            handle.up(program(stack)).with(options).await
        };
        let update = work.instrument(run_span("apply", stack)).await;
        crate::metrics::provider_busy(self.server.busy());
        Ok(update.map_err(|error| self.problem(error))?.summary)
    }

    /// Deletes every resource and then the Pulumi stack itself, with its history. Nothing there is a
    /// success. `authority` is the operation's.
    pub async fn destroy(
        &self,
        stack: &Stack,
        options: &Options,
        authority: Authority,
    ) -> Result<(), Problem> {
        self.destroy_but_protected(stack, options, authority).await?;
        let removed = self.workspace.stack(&stack.name).remove_with(&entirely()).await;
        removed.map_err(|error| self.problem(error))?;
        self.forget_replaced(&stack.name);
        Ok(())
    }

    /// Deletes every resource that the options do not leave alone. The stack itself stays.
    pub async fn destroy_but_protected(
        &self,
        stack: &Stack,
        options: &Options,
        authority: Authority,
    ) -> Result<(), Problem> {
        let handle = self.workspace.stack(&stack.name);
        let work = async {
            let _fenced = self.server.fenced(&stack.name, authority);
            handle.destroy(program(stack)).with(options).await
        };
        let destroyed = work.instrument(run_span("destroy", stack)).await;
        // A create whose engine was killed may still be making something that no state will know.
        let settled = tokio::time::timeout(SETTLE, self.server.settled(&stack.name)).await;
        crate::metrics::provider_busy(self.server.busy());
        settled.map_err(|_| {
            let detail = "The provider is still at work for an earlier run of this workspace.";
            Problem::new(ErrorCode::ProviderTimeout, detail).with_action("Delete the workspace again later.")
        })?;
        match destroyed {
            // What an interrupted removal left of a stack that is gone is removed all the same.
            Ok(_) | Err(automation::Error::StackNotFound { .. }) => Ok(()),
            Err(error) => Err(self.problem(error)),
        }
    }

    /// Whoever had the lock of the stack writes nothing of it any more: the state is in a database, which sees to that.
    pub async fn break_lock(&self, name: &str) -> Result<(), Problem> {
        match self.workspace.stack(name).cancel().await {
            // Who makes a stack holds its lock before there is one; the lock is gone all the same.
            Ok(()) | Err(automation::Error::StackNotFound { .. }) => Ok(()),
            Err(error) => Err(self.problem(error)),
        }
    }

    /// Removes a stack and leaves what it lists where it is; that, by type and id.
    pub async fn forget(&self, name: &str) -> Result<Vec<String>, Problem> {
        let handle = self.workspace.stack(name);
        let listed = match handle.export().await {
            Ok(deployment) => listed(&deployment),
            Err(automation::Error::StackNotFound { .. }) => Vec::new(),
            // What cannot be read is forgotten all the same.
            Err(error) => vec![format!("what its state lists, which cannot be read ({error})")],
        };
        match handle.remove_with(&entirely().force(true)).await {
            Ok(()) | Err(automation::Error::StackNotFound { .. }) => {
                self.forget_replaced(name);
                Ok(listed)
            }
            Err(error) => Err(self.problem(error)),
        }
    }

    /// From what the stack's resources were made when it was last applied; `None` where none says so.
    pub async fn image_of(&self, name: &str) -> Result<Option<String>, Problem> {
        let deployment = match self.workspace.stack(name).export().await {
            Ok(deployment) => deployment,
            Err(automation::Error::StackNotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.problem(error)),
        };
        let images =
            deployment.resources().iter().filter_map(|resource| resource["inputs"]["image"].as_str());
        Ok(images.map(str::to_owned).next())
    }

    /// What applying would change, compared with what is really there.
    pub async fn plan(&self, stack: &Stack) -> Result<Plan, Problem> {
        let (_place, _asking, options) = self.looks().await?;
        let handle = self.workspace.stack(&stack.name);
        let summary = handle.preview(program(stack)).options(options).refresh(true).await;
        Ok(to_plan(stack, summary.map_err(|error| self.problem(error))?))
    }

    /// What creating would do; planned in a state of its own that is gone afterwards.
    pub async fn plan_new(&self, stack: &Stack) -> Result<Plan, Problem> {
        let (_place, _asking, options) = self.looks().await?;
        let scratch = tempfile::Builder::new().prefix(SCRATCH).tempdir_in(self.layout.pulumi());
        let scratch = scratch.map_err(|error| {
            Problem::new(ErrorCode::DataFolderUnusable, format!("No scratch folder could be made: {error}."))
        })?;
        let state = folder(scratch.path());
        let workspace = open(&self.driver, &self.layout, &self.server, scratch.path(), state)?;
        let handle = workspace.stack(&stack.name);
        handle.create().await.map_err(|error| self.problem(error))?;
        let summary = handle.preview(program(stack)).options(options).await;
        Ok(to_plan(stack, summary.map_err(|error| self.problem(error))?))
    }

    /// A place among those who only look, as soon as there is one. Who does not wait for the answer any more ends the work.
    async fn looks(&self) -> Result<(SemaphorePermit<'_>, DropGuard, Options), Problem> {
        let place = tokio::time::timeout(LOOK_PATIENCE, self.looks.acquire()).await;
        let place = place.ok().and_then(Result::ok).ok_or_else(|| {
            let detail = format!("{LOOKS} previews run, and none has ended within {LOOK_PATIENCE:.0?}.");
            Problem::new(ErrorCode::EngineInterrupted, detail).with_action("Try again in a minute.")
        })?;
        let asking = CancellationToken::new();
        let options = engine_options().timeout(LOOK_TIMEOUT).cancel(asking.clone());
        Ok((place, asking.drop_guard(), options))
    }

    /// Looks for a good copy of a damaged state, and with `apply` puts it in its place.
    pub async fn repair(&self, stack: &Stack, apply: bool) -> Result<StackRepair, Problem> {
        let handle = self.workspace.stack(&stack.name);
        let repair = if apply { handle.repair().await } else { handle.preview_repair().await };
        let repair = repair.map_err(|error| self.problem(error))?;
        Ok(StackRepair {
            stack: stack.name.clone(),
            problem: repair.problem,
            damaged: repair.damaged,
            copy: repair.copy,
            time: repair.time,
            exact: repair.exact,
            resources: repair.resources,
            kept: repair.kept,
            done: repair.done,
        })
    }

    /// Removes the settings of stacks that another orchestrator has removed; `runtimes` are those that there are.
    pub fn forget_all_but(&self, runtimes: &HashSet<&str>) {
        let Ok(files) = std::fs::read_dir(self.workspace.directory()) else { return };
        for file in files.flatten() {
            let name = file.file_name();
            let stack = name.to_str().and_then(|name| name.strip_prefix("Pulumi.")?.strip_suffix(".yaml"));
            let is_gone = |stack: &str| stack.starts_with("rt-") && !runtimes.contains(stack);
            // One that is being made is younger than the list of runtimes may be.
            let age = file.metadata().and_then(|file| file.modified()).ok().and_then(|at| at.elapsed().ok());
            if stack.is_some_and(is_gone)
                && age.is_some_and(|age| age > AN_HOUR)
                && let Err(error) = std::fs::remove_file(file.path())
            {
                tracing::warn!(file = %file.path().display(), %error, "left over");
            }
        }
    }

    fn problem(&self, error: automation::Error) -> Problem {
        failure::problem(error, |urn| self.server.take_failure(urn))
    }
}

/// Asks for something small, so that the first create finds the engine running. Its failure is told to
/// whoever needs the engine.
fn warm_up(workspace: Workspace) {
    tokio::spawn(async move {
        if let Err(error) = workspace.stacks(false).await {
            tracing::debug!(%error, "the engine could not be warmed up");
        }
    });
}

/// What a process that was killed has left.
fn clear_scratch(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(SCRATCH)) {
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!(folder = %entry.path().display(), %error, "left over");
        }
    }
}

fn folder(root: &Path) -> Backend {
    Backend::Folder(root.join("state"))
}

/// A workspace with its project under `root`. All of them share Pulumi's own folder, and with it
/// one warm engine.
fn open(
    driver: &Arc<dyn automation::Engine>,
    layout: &Layout,
    server: &Server,
    root: &Path,
    state: Backend,
) -> Result<Workspace, Problem> {
    let home = layout.pulumi().join("home");
    Workspace::inline(Arc::clone(driver), PROJECT, root.join("project"), home, state)
        .map(|workspace| {
            workspace
                .with_passphrase_file(layout.secret("pulumi-passphrase"))
                .with_timeout(COMMAND_TIMEOUT)
                // Every provider is attached. Said for commands, too, so that all share one process.
                .with_env("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true")
                .with_attached_provider(provider_server::PACKAGE, server.port())
                // Every module finds by name and labels before it creates; the common suite proves it.
                .with_adopting_package(provider_server::PACKAGE)
        })
        .map_err(|error| failure::problem(error, |_| None))
}

/// Runtimes are never used again, and Pilot alone makes and removes their stacks.
fn entirely() -> RemoveOptions {
    RemoveOptions::default().remove_backups(true).remove_leftovers(true)
}

/// One run of the engine; what it asks of the providers is a part of it.
fn run_span(run: &'static str, stack: &Stack) -> Span {
    tracing::error_span!(target: "pilot::trace", "engine", run, stack = stack.name)
}

/// What Pilot wants of every operation: an end, and no downloads, because every provider is attached.
pub fn engine_options() -> Options {
    Options::default().timeout(ENGINE_TIMEOUT).install_plugins(false)
}

fn program(stack: &Stack) -> Arc<dyn Program> {
    Arc::new(Inline(stack.clone()))
}

fn to_plan(stack: &Stack, summary: Summary) -> Plan {
    let steps = summary.steps.into_iter().map(|step| PlanStep {
        name: step.name().to_owned(),
        diffs: step.diffs.unwrap_or_default(),
        resource_type: step.resource_type,
        op: step.op,
    });
    Plan { stack: stack.name.clone(), steps: steps.collect(), changes: summary.changes }
}

fn listed(deployment: &automation::stack::Deployment) -> Vec<String> {
    let named = deployment.resources().iter().filter_map(|resource| {
        let (kind, id) = (resource["type"].as_str()?, resource["id"].as_str()?);
        (!kind.starts_with("pulumi:")).then(|| format!("{kind} {id}"))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_preview_that_was_killed_has_left_is_cleared_away_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["preview-1/state", "state", "project"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        clear_scratch(folder.path());
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["project", "state"]);
    }
}
