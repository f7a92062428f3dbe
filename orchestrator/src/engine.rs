//! Where stacks meet Pulumi: compile, apply, destroy, plan, export, and every failure as a problem.

mod failure;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use automation::stack::RemoveOptions;
use automation::{Backend, Options, Program, Summary, Workspace};
use contracts::plan::{Plan, PlanStep};
use contracts::workspace::{StackExport, StackRepair};
use contracts::{ErrorCode, InstallationId, Problem};
use provider_api::{Declared, Provider, RuntimeSpec};
use provider_server::{Registry, Server};
use stacks::{Inline, Location, PROJECT, Stack};

use crate::data::Layout;
use crate::store::WorkspaceRow;
use crate::tools::{Driver, PULUMI_VERSION};
use crate::wiring::Providers;
pub use failure::provider_problem;

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
}

/// How long the engine host stays when nobody needs it: starting it takes longer than a create.
const STAY_WARM: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a command of the engine may take: most are a look at files.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// How long an operation may take that does not say less.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(30 * 60);

const AN_HOUR: Duration = Duration::from_secs(60 * 60);

/// How long a delete waits for provider work that an ended engine has left behind.
const SETTLE: Duration = Duration::from_secs(120);

/// The stack of a workspace: everything in its row that decides it, and no slug.
pub fn stack_of(
    row: &WorkspaceRow,
    providers: &Providers,
    installation: &InstallationId,
) -> Result<Stack, Problem> {
    compile(providers.get(row.provider.as_str())?.as_ref(), &spec_of(row, installation))
}

fn spec_of(row: &WorkspaceRow, installation: &InstallationId) -> RuntimeSpec {
    RuntimeSpec {
        runtime_id: row.runtime_id.clone(),
        installation: installation.clone(),
        generation: row.generation,
        size: row.size.clone(),
        region: row.region.clone(),
        git: row.git.clone(),
    }
}

/// The same for a delete: a size or a region that the provider does not offer any more keeps nothing from going. What is
/// deleted is what the state has and what the labels find.
pub fn stack_to_delete(
    row: &WorkspaceRow,
    provider: &dyn Provider,
    installation: &InstallationId,
) -> Result<Stack, Problem> {
    let spec = spec_of(row, installation);
    let (described, refused) = match compile(provider, &spec) {
        Ok(stack) => return Ok(stack),
        Err(refused) => (provider.describe(), refused),
    };
    let size = described.sizes.first().map(|size| size.name.clone()).unwrap_or_default();
    let region = described.regions.first().map(|region| region.name.clone());
    let regions = [spec.region.clone(), region];
    let offered =
        regions.into_iter().map(|region| RuntimeSpec { size: size.clone(), region, ..spec.clone() });
    offered.into_iter().find_map(|spec| compile(provider, &spec).ok()).ok_or(refused)
}

/// A provider's declarations for a runtime as a stack.
pub fn compile(provider: &dyn Provider, spec: &RuntimeSpec) -> Result<Stack, Problem> {
    let declared = provider.declare(spec).map_err(provider_problem)?;
    checked(provider, spec.runtime_id.as_str(), declared)
}

/// What all runtimes of an installation share at this provider; `None` when there is nothing.
pub fn shared_stack(
    provider: &dyn Provider,
    installation: &InstallationId,
) -> Result<Option<Stack>, Problem> {
    let declared = provider.shared(installation).map_err(provider_problem)?;
    if declared.resources.is_empty() {
        return Ok(None);
    }
    checked(provider, &format!("shared-{}", provider.describe().name), declared).map(Some)
}

fn checked(provider: &dyn Provider, name: &str, declared: Declared) -> Result<Stack, Problem> {
    stacks::compile(name, declared).map_err(|error| {
        let provider = provider.describe().name;
        Problem::new(
            ErrorCode::Internal,
            format!("The provider {provider} declared an unusable stack: {error}."),
        )
    })
}

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
        let state = database.map_or_else(|| folder(&layout.pulumi()), Backend::Url);
        let workspace = open(&driver, layout, &server, &layout.pulumi(), state)?;
        if is_warm {
            warm_up(workspace.clone());
        }
        Ok(Self { workspace, server, driver, pulumi_folder, layout: layout.clone(), plugin_folder, settings })
    }

    /// Creates the Pulumi stack when it is not there, then brings it to what `stack` says. `fence` is the
    /// operation's.
    pub async fn apply(
        &self,
        stack: &Stack,
        options: &Options,
        fence: Option<u64>,
    ) -> Result<Summary, Problem> {
        let handle = self.workspace.stack(&stack.name);
        let _fenced = self.server.fenced(&stack.name, fence);
        handle.ensure().await.map_err(|error| self.problem(error))?;
        let update = handle.up(program(stack)).with(options).await;
        crate::metrics::provider_busy(self.server.busy());
        Ok(update.map_err(|error| self.problem(error))?.summary)
    }

    /// Deletes every resource and then the Pulumi stack itself, with its history. Nothing there is a
    /// success. `fence` is the operation's.
    pub async fn destroy(&self, stack: &Stack, options: &Options, fence: Option<u64>) -> Result<(), Problem> {
        let handle = self.workspace.stack(&stack.name);
        let _fenced = self.server.fenced(&stack.name, fence);
        let destroyed = handle.destroy(program(stack)).with(options).await;
        // A create whose engine was killed may still be making something that no state will know.
        let settled = tokio::time::timeout(SETTLE, self.server.settled(&stack.name)).await;
        crate::metrics::provider_busy(self.server.busy());
        settled.map_err(|_| {
            let detail = "The provider is still at work for an earlier run of this workspace.";
            Problem::new(ErrorCode::ProviderTimeout, detail).with_action("Delete the workspace again later.")
        })?;
        match destroyed {
            // What an interrupted removal left of a stack that is gone is removed all the same.
            Ok(_) | Err(automation::Error::StackNotFound { .. }) => {}
            Err(error) => return Err(self.problem(error)),
        }
        handle.remove_with(&entirely()).await.map_err(|error| self.problem(error))
    }

    /// Whoever had the lock of the stack writes nothing of it any more: the state is in a database, which sees to that.
    pub async fn break_lock(&self, name: &str) -> Result<(), Problem> {
        self.workspace.stack(name).cancel().await.map_err(|error| self.problem(error))
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
            Ok(()) | Err(automation::Error::StackNotFound { .. }) => Ok(listed),
            Err(error) => Err(self.problem(error)),
        }
    }

    /// What applying would change, compared with what is really there.
    pub async fn plan(&self, stack: &Stack) -> Result<Plan, Problem> {
        let handle = self.workspace.stack(&stack.name);
        let summary = handle.preview(program(stack)).options(engine_options()).refresh(true).await;
        Ok(to_plan(stack, summary.map_err(|error| self.problem(error))?))
    }

    /// What creating would do; planned in a state of its own that is gone afterwards.
    pub async fn plan_new(&self, stack: &Stack) -> Result<Plan, Problem> {
        let scratch = tempfile::tempdir_in(self.layout.pulumi()).map_err(|error| {
            Problem::new(ErrorCode::DataFolderUnusable, format!("No scratch folder could be made: {error}."))
        })?;
        let state = folder(scratch.path());
        let workspace = open(&self.driver, &self.layout, &self.server, scratch.path(), state)?;
        let handle = workspace.stack(&stack.name);
        handle.create().await.map_err(|error| self.problem(error))?;
        let summary = handle.preview(program(stack)).options(engine_options()).await;
        Ok(to_plan(stack, summary.map_err(|error| self.problem(error))?))
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

    /// The stack as a project for the plain CLI, sharing state and secrets with this installation.
    pub fn export(&self, stack: &Stack) -> Result<StackExport, Problem> {
        let location = Location {
            plugin_folder: Some(self.plugin_folder.clone()),
            backend_url: Some(without_password(&self.workspace.backend().url())),
        };
        let mut files = BTreeMap::from([
            ("Pulumi.yaml".to_owned(), stacks::render(stack, &location)),
            ("env.sh".to_owned(), self.environment(stack)),
        ]);
        let settings = settings_file(stack);
        if let Ok(text) = std::fs::read_to_string(self.workspace.directory().join(&settings)) {
            files.insert(settings, text);
        }
        Ok(StackExport { stack: stack.name.clone(), files })
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

    fn environment(&self, stack: &Stack) -> String {
        let mut lines = vec![
            "# Source this file, then use the Pulumi CLI here: . ./env.sh && pulumi preview".to_owned(),
            format!("export PATH={}:\"$PATH\"", quoted(&self.pulumi_folder.display().to_string())),
            format!(
                "command -v pulumi >/dev/null || echo 'Pulumi {PULUMI_VERSION} is not here yet: `cargo xtask tools` \
                 builds it' >&2"
            ),
            format!("export PULUMI_STACK={}", quoted(&stack.name)),
            "# One that is set would count before the file.".to_owned(),
            "unset PULUMI_CONFIG_PASSPHRASE".to_owned(),
            format!(
                "export PULUMI_CONFIG_PASSPHRASE_FILE={}",
                quoted(&self.layout.secret("pulumi-passphrase").display().to_string())
            ),
            format!("export PILOT_DATA={}", quoted(&self.layout.root.display().to_string())),
            "export PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true".to_owned(),
            "export PULUMI_SKIP_UPDATE_CHECK=true".to_owned(),
        ];
        lines.extend(self.settings.iter().map(|(name, value)| format!("export {name}={}", quoted(value))));
        lines.join("\n") + "\n"
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

fn folder(root: &Path) -> Backend {
    Backend::Folder(root.join("state"))
}

/// For whoever may read it: people have the password elsewhere, such as in `PGPASSWORD`.
pub fn without_password(address: &str) -> String {
    let Ok(mut url) = url::Url::parse(address) else { return address.to_owned() };
    // Refused for addresses that have none.
    let _ = url.set_password(None);
    url.into()
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

/// What Pilot wants of every operation: an end, and no downloads, because every provider is attached.
pub fn engine_options() -> Options {
    Options::default().timeout(ENGINE_TIMEOUT).install_plugins(false)
}

fn settings_file(stack: &Stack) -> String {
    format!("Pulumi.{}.yaml", stack.name)
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

/// For a shell: single quotes keep everything but themselves.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_quotes_and_spaces_survives_the_shell() {
        let odd = "/a b/it's $HOME";
        let script = format!("printf %s {}", quoted(odd));
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), odd);
    }

    #[test]
    fn a_size_or_region_that_is_not_offered_any_more_keeps_nothing_from_being_deleted() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout { root: root.path().to_owned() };
        let boot = Arc::new(crate::boot::DataFolderBoot::new(layout.clone(), None));
        let (tools, settings) = (Default::default(), Default::default());
        let providers = Providers::build(&layout, &tools, &settings, boot).unwrap();
        let installation = InstallationId::random();
        for name in ["fake", "fly", "docker", "cloudflare", "local"] {
            let slug = "demo".parse().unwrap();
            let mut row = WorkspaceRow::new(slug, name.parse().unwrap(), "of-before".to_owned());
            row.region = Some("of-before".to_owned());
            let Ok(provider) = providers.get(name) else { continue };
            let stack = stack_to_delete(&row, provider.as_ref(), &installation).unwrap();
            assert_eq!(stack.name, row.runtime_id.as_str(), "{name}");
        }
        let row = WorkspaceRow::new("demo".parse().unwrap(), "fake".parse().unwrap(), "of-before".to_owned());
        assert!(stack_of(&row, &providers, &installation).is_err(), "what is made is judged");
    }
}
