//! One test's world: its own folders, state, passphrase and cloud. Nothing is shared but the programs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pulumi_auto::{Cli, Engine, Stack, Workspace};
use serde_json::Value as Json;

use super::cloud::Cloud;
use super::driver;
use super::keep::Keep;
use super::tools::pulumi;

/// The project of every world.
pub const PROJECT: &str = "shop";

/// Dropping it ends its cloud and deletes its folders.
pub struct World {
    pub cloud: Cloud,
    /// With a passphrase and the cloud attached.
    pub workspace: Workspace,
    /// What runs the workspace.
    pub engine: driver::Driver,
    /// Also where that is another engine.
    pub cli: Cli,
    /// Where its stacks are.
    pub keep: Keep,
    folder: tempfile::TempDir,
}

impl World {
    /// On the engine that this test binary is about. No process is started for it but, once, those that
    /// tell the programs' versions.
    pub async fn new() -> Self {
        Self::kept(Keep::new).await
    }

    /// With its stacks where the test wants them.
    pub async fn kept(keep: impl FnOnce(&Path) -> Keep) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cloud = Cloud::start().await;
        let cli = cli().await;
        std::fs::write(folder.path().join("passphrase"), "correct horse").unwrap();
        let engine = driver::open(&cli).await;
        let keep = keep(folder.path());
        let workspace = workspace(engine.clone(), folder.path(), cloud.port(), &keep);
        Self { cloud, workspace, engine, cli, keep, folder }
    }

    /// The same project, state and cloud, on another engine.
    pub fn on(&self, engine: impl Engine + 'static) -> Workspace {
        workspace(engine, self.folder.path(), self.cloud.port(), &self.keep)
    }

    /// A new stack of the world's project; one `pulumi stack init`.
    pub async fn stack(&self, name: &str) -> Stack {
        let stack = self.workspace.stack(name);
        assert!(stack.ensure().await.unwrap(), "{name} exists already");
        stack
    }

    /// The same, where creates of the cloud are declared to find what an earlier call has made.
    pub fn adopting(mut self) -> Self {
        self.workspace = self.workspace.clone().with_adopting_package("cloud");
        self
    }

    /// The temporary folder that holds everything of this world.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The stack's resources as its state has them; no process is started for it.
    pub fn state(&self, stack: &Stack) -> State {
        State(self.keep.resources(PROJECT, stack.name()))
    }

    /// True when anything of the state, history and backups has this text.
    pub fn state_mentions(&self, text: &str) -> bool {
        self.keep.mentions(text)
    }

    /// The plain CLI, in the project's folder and with the world's environment.
    pub async fn pulumi(&self, args: &[&str]) -> std::process::Output {
        let tools = self.cli.path().parent().unwrap().display().to_string();
        tokio::process::Command::new(self.cli.path())
            .args(args)
            .args(["--non-interactive", "--color", "never"])
            .current_dir(self.workspace.directory())
            .env_clear()
            .env("PATH", format!("{tools}:/usr/bin:/bin"))
            .env("HOME", self.folder().join("home"))
            .env("PULUMI_HOME", self.folder().join("home"))
            .env("PULUMI_BACKEND_URL", self.workspace.backend().url())
            .env("PULUMI_CONFIG_PASSPHRASE_FILE", self.folder().join("passphrase"))
            .env("PULUMI_SKIP_UPDATE_CHECK", "true")
            .env("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true")
            .env("PULUMI_DEBUG_PROVIDERS", format!("cloud:{}", self.cloud.port()))
            .envs(self.workspace.env())
            .output()
            .await
            .unwrap()
    }
}

fn workspace(engine: impl Engine + 'static, folder: &Path, cloud: u16, keep: &Keep) -> Workspace {
    let (project, home) = (folder.join("project"), folder.join("home"));
    let workspace = Workspace::inline(engine, PROJECT, project, home, keep.backend())
        .unwrap()
        .with_passphrase_file(folder.join("passphrase"))
        .with_attached_provider("cloud", cloud);
    keep.open(workspace)
}

/// The resources of one state file.
#[derive(Debug)]
pub struct State(pub Vec<Json>);

impl State {
    /// The resource whose URN ends in this name; fails the test unless there is exactly one.
    pub fn of(&self, name: &str) -> &Json {
        let found: Vec<&Json> = self.0.iter().filter(|resource| name_of(resource) == name).collect();
        assert_eq!(found.len(), 1, "{name} among {:?}", self.names());
        found[0]
    }

    /// The names of all resources, in the order of the file.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(name_of).collect()
    }

    pub fn has(&self, name: &str) -> bool {
        self.names().contains(&name)
    }

    pub fn urn(&self, name: &str) -> String {
        self.of(name)["urn"].as_str().unwrap().to_owned()
    }
}

fn name_of(resource: &Json) -> &str {
    resource["urn"].as_str().unwrap().rsplit("::").next().unwrap()
}

/// Asks again and again until it is true; fails the test when it has not become so within a minute.
pub async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(tokio::time::Instant::now() < deadline, "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The CLI that `cargo xtask tools` has built; its version is asked for once per test binary.
pub async fn cli() -> Cli {
    static CLI: tokio::sync::OnceCell<Cli> = tokio::sync::OnceCell::const_new();
    let open = async || Cli::open(pulumi()).await.unwrap_or_else(|e| panic!("{e}; run `cargo xtask tools`"));
    CLI.get_or_init(open).await.clone()
}

/// True when any file below the folder has this text.
pub fn files_mention(folder: &Path, text: &str) -> bool {
    files(folder).iter().any(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains(text))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}
