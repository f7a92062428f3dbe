//! One test's world: its own state, its own provider, its own "cloud".

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use automation::{Backend, Cli, Context, Outputs, Program, ProgramError, Stack, Workspace};
use contracts::ErrorCode;
use provider_api::{
    CreateRequest, Created, Declared, DeleteRequest, EnumType, ObjectType, Properties, Property,
    PropertyType, ProviderError, ReadRequest, ReadState, Resource, ResourceSchema, UpdateRequest,
};
use provider_server::{Registry, Server};
use serde_json::Value;
use stacks::{Inline, Location};

#[path = "../../../../automation/tests/support/normal.rs"]
mod normal;
#[path = "../../../../automation/tests/support/tools.rs"]
mod tools;

use tools::pulumi;

pub struct World {
    pub cloud: Cloud,
    pub server: Server,
    pub workspace: Workspace,
    cli: Cli,
    folder: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cloud = Cloud::default();
        let registry = Registry::of([Arc::new(cloud.clone()) as Arc<dyn Resource>]);
        let server = Server::start(registry).await.unwrap();
        let cli =
            Cli::open(pulumi()).await.unwrap_or_else(|error| panic!("{error}; run `cargo xtask tools`"));
        let passphrase = folder.path().join("passphrase");
        std::fs::write(&passphrase, "test").unwrap();
        let state = Backend::Folder(folder.path().join("state"));
        let (project, home) = (folder.path().join("project"), folder.path().join("home"));
        let workspace = Workspace::inline(cli.clone(), "pilot", project, home, state)
            .unwrap()
            .with_passphrase_file(passphrase)
            .with_attached_provider("pilot", server.port());
        Self { cloud, server, workspace, cli, folder }
    }

    pub async fn stack(&self, name: &str) -> Stack {
        let stack = self.workspace.stack(name);
        assert!(stack.ensure().await.unwrap());
        stack
    }

    pub fn program(&self, name: &str, declared: Declared) -> Arc<dyn Program> {
        Arc::new(Inline(stacks::compile(name, declared).unwrap()))
    }

    /// The same stack as a folder that the plain CLI can use.
    pub fn yaml_project(&self, name: &str, declared: Declared) -> PathBuf {
        let stack = stacks::compile(name, declared).unwrap();
        let folder = self.folder.path().join(format!("yaml-{name}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("Pulumi.yaml"), stacks::render(&stack, &Location::default())).unwrap();
        let settings = format!("Pulumi.{name}.yaml");
        std::fs::copy(self.workspace.directory().join(&settings), folder.join(&settings)).unwrap();
        folder
    }

    /// The folder with the SDKs that Pulumi makes from the schema.
    pub async fn sdks(&self) -> PathBuf {
        let registry = Registry::of([Arc::new(self.cloud.clone()) as Arc<dyn Resource>]);
        let schema = self.folder.path().join("schema.json");
        std::fs::write(&schema, registry.schema()).unwrap();
        let folder = self.folder.path().join("sdks");
        let (schema, out) = (schema.to_str().unwrap(), folder.to_str().unwrap());
        for language in ["nodejs", "python", "go"] {
            let words = ["package", "gen-sdk", schema, "--language", language, "--out", out];
            let made = self.pulumi(self.folder.path(), &words).await;
            assert!(made.status.success(), "{language}: {}", String::from_utf8_lossy(&made.stderr));
        }
        folder
    }

    pub async fn pulumi(&self, folder: &std::path::Path, args: &[&str]) -> std::process::Output {
        let programs = self.cli.path().parent().unwrap().display().to_string();
        let languages = tools::languages().display().to_string();
        tokio::process::Command::new(self.cli.path())
            .args(args)
            .args(["--non-interactive", "--color", "never"])
            .current_dir(folder)
            .env("PATH", format!("{programs}:{languages}:/usr/bin:/bin"))
            .env("PULUMI_HOME", self.folder.path().join("home"))
            .env("PULUMI_BACKEND_URL", self.workspace.backend().url())
            .env("PULUMI_CONFIG_PASSPHRASE_FILE", self.folder.path().join("passphrase"))
            .env("PULUMI_SKIP_UPDATE_CHECK", "true")
            .env("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true")
            .env("PULUMI_DEBUG_PROVIDERS", format!("pilot:{}", self.server.port()))
            .output()
            .await
            .unwrap()
    }

    /// Files under the state folder whose path names the stack.
    pub fn state_files(&self, stack: &str) -> Vec<String> {
        let all = files(&self.folder.path().join("state"));
        let all = all.into_iter().chain(files(self.workspace.directory()));
        all.map(|path| path.display().to_string()).filter(|path| path.contains(stack)).collect()
    }

    pub fn grep_state(&self, needle: &str) -> bool {
        let all = files(&self.folder.path().join("state"));
        all.iter().any(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains(needle))
    }
}

fn files(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

/// The resources of a deployment, without what differs between any two runs.
pub fn normalized(export: &Value) -> Value {
    normal::normalized(export["deployment"]["resources"].as_array().unwrap())
}

/// With a choice, a reference and a secret inside.
const MOUNT: ObjectType = ObjectType {
    name: "Mount",
    description: "A folder of these tests.",
    properties: &[
        Property::required("target", PropertyType::String, "Where it is seen."),
        Property::optional("mode", PropertyType::Enum(&MODE), "What may be done."),
        Property::optional("options", PropertyType::Map(&PropertyType::Integer), "More."),
        Property::optional("key", PropertyType::String, "Opens it.").secret(),
    ],
};

const MODE: EnumType = EnumType {
    name: "Mode",
    description: "What may be done with a folder.",
    values: &[("read-only", "Nobody changes it."), ("read-write", "Everybody does.")],
};

/// A resource type whose behaviour follows its label, and a record of what was done.
#[derive(Clone, Default)]
pub struct Cloud(Arc<Mutex<Vec<String>>>);

impl Cloud {
    pub fn log(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().filter(|line| !line.starts_with("begin")).cloned().collect()
    }

    pub async fn until_logged(&self, line: &str) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while !self.0.lock().unwrap().iter().any(|logged| logged == line) {
            assert!(tokio::time::Instant::now() < deadline, "{line:?} was never logged");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

fn outputs(inputs: &Properties, label: &str) -> Properties {
    let mut outputs = inputs.clone();
    outputs.insert("address".to_owned(), format!("address-of-{label}").into());
    outputs
}

#[async_trait]
impl Resource for Cloud {
    fn schema(&self) -> ResourceSchema {
        ResourceSchema {
            token: "pilot:test:Thing",
            description: "A thing of these tests.",
            inputs: vec![
                Property::required("label", PropertyType::String, "Decides what happens.").replaces(),
                Property::optional("after", PropertyType::String, "Another's address."),
                Property::optional("token", PropertyType::String, "A secret."),
                Property::optional(
                    "mounts",
                    PropertyType::List(&PropertyType::Object(&MOUNT)),
                    "Folders of others.",
                ),
            ],
            outputs: vec![Property::required("address", PropertyType::String, "Where it is.")],
        }
    }

    async fn create(&self, request: CreateRequest) -> provider_api::Result<Created> {
        let label = request.inputs["label"].as_str().unwrap().to_owned();
        self.note(format!("begin {label}"));
        if label == "slow" {
            tokio::time::sleep(Duration::from_millis(1500)).await;
        }
        if label == "refuse" {
            return Err(ProviderError::new(ErrorCode::ProviderCapacity, "the test cloud is full"));
        }
        self.note(format!("create {label}"));
        let (id, outputs) = (format!("id-of-{label}"), outputs(&request.inputs, &label));
        if label == "partial" {
            let error = ProviderError::new(ErrorCode::ProviderFailed, "it was made but does not work");
            return Err(error.partial(id, outputs));
        }
        Ok(Created { id, outputs })
    }

    async fn read(&self, request: ReadRequest) -> provider_api::Result<Option<ReadState>> {
        Ok(Some(ReadState { id: request.id, inputs: request.inputs, outputs: request.outputs }))
    }

    async fn update(&self, request: UpdateRequest) -> provider_api::Result<Properties> {
        let label = request.new_inputs["label"].as_str().unwrap().to_owned();
        self.note(format!("update {label}"));
        Ok(outputs(&request.new_inputs, &label))
    }

    async fn delete(&self, request: DeleteRequest) -> provider_api::Result<()> {
        self.note(format!("delete {}", request.inputs["label"].as_str().unwrap()));
        Ok(())
    }
}

struct Panics;
struct Fails;

#[async_trait]
impl Program for Panics {
    async fn run(&self, _: &Context) -> Result<Outputs, ProgramError> {
        panic!("a bug in the program")
    }
}

#[async_trait]
impl Program for Fails {
    async fn run(&self, _: &Context) -> Result<Outputs, ProgramError> {
        Err(ProgramError::Failed("no such region".to_owned()))
    }
}

pub fn broken_programs() -> Vec<(Arc<dyn Program>, &'static str)> {
    vec![(Arc::new(Panics), "a bug in the program"), (Arc::new(Fails), "no such region")]
}
