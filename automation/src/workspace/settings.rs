//! The settings files of a project and its stacks.

use std::io::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::*;
use crate::yaml;

/// `Pulumi.yaml`. What this crate has no field for is kept in `other`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ProjectSettings {
    /// Part of every stack's full name and of every URN.
    pub name: String,
    /// What runs the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// The program's folder or file, seen from the file's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub main: Option<String>,
    /// What the project is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Where it is described.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub website: Option<String>,
    /// Its licence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The folder of the stacks' settings, seen from the file's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_config_dir: Option<String>,
    /// Declarations and defaults of configuration, by key.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Json>,
    /// Where the plain CLI finds the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<ProjectBackend>,
    /// `template`, `options`, `packages`, `plugins`, and a YAML program's `resources`, `outputs`, ...
    #[serde(flatten)]
    pub other: Map<String, Json>,
}

/// The language host of a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Runtime {
    /// Such as `yaml` or `nodejs`.
    Name(String),
    /// With options for it.
    Detailed {
        /// Such as `nodejs`.
        name: String,
        /// As the language host documents them.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        options: Map<String, Json>,
    },
}

/// Where the plain CLI finds the state. A [`Workspace`] has a backend of its own and does not look here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProjectBackend {
    /// As `pulumi login` takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What this crate has no field for.
    #[serde(flatten)]
    pub other: Map<String, Json>,
}

impl ProjectSettings {
    /// A name and a runtime, and nothing else.
    pub fn new(name: &str, runtime: &str) -> Self {
        Self {
            name: name.to_owned(),
            runtime: Some(Runtime::Name(runtime.to_owned())),
            main: None,
            description: None,
            author: None,
            website: None,
            license: None,
            stack_config_dir: None,
            config: Map::new(),
            backend: None,
            other: Map::new(),
        }
    }
}

/// `Pulumi.<stack>.yaml`. What this crate has no field for is kept in `other`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StackSettings {
    /// What encrypts the secrets, such as `awskms://...`; absent for a passphrase.
    #[serde(rename = "secretsprovider", default, skip_serializing_if = "Option::is_none")]
    pub secrets_provider: Option<String>,
    /// The data key, encrypted by the provider.
    #[serde(rename = "encryptedkey", default, skip_serializing_if = "Option::is_none")]
    pub encrypted_key: Option<String>,
    /// The salt of the passphrase, and a check of it.
    #[serde(rename = "encryptionsalt", default, skip_serializing_if = "Option::is_none")]
    pub encryption_salt: Option<String>,
    /// By full key (`project:key`): plain values as they are, secrets as `{"secure": ciphertext}`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Json>,
    /// Environments of Pulumi ESC: a list of names, or a definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Json>,
    /// What this crate has no field for.
    #[serde(flatten)]
    pub other: Map<String, Json>,
}

/// Leaves keys and values out: they may be what protects the secrets.
impl std::fmt::Debug for StackSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<&String> = self.config.keys().collect();
        formatter
            .debug_struct("StackSettings")
            .field("secrets_provider", &self.secrets_provider)
            .field("config", &keys)
            .finish_non_exhaustive()
    }
}

impl Workspace {
    /// Reads `Pulumi.yaml` (or `.yml`, `.json`) of the workspace's folder; none when there is no such file.
    /// No command is run.
    pub fn project_settings(&self) -> Result<Option<ProjectSettings>> {
        read_project(&self.place.directory)
    }

    /// Writes the project's settings to the file they come from, `Pulumi.yaml` by default. Entries that do
    /// not change keep their text and comments. The workspace keeps the name it was made with.
    pub fn save_project_settings(&self, settings: &ProjectSettings) -> Result<()> {
        save(&project_file(&self.place.directory), settings)
    }

    /// Reads the settings of a stack; none when it has no file. No command is run.
    pub fn stack_settings(&self, stack: &str) -> Result<Option<StackSettings>> {
        load(&self.stack_settings_path(stack))
    }

    /// Writes the settings of a stack to the file they come from, `Pulumi.<stack>.yaml` by default. Entries
    /// that do not change keep their text and comments.
    pub fn save_stack_settings(&self, stack: &str, settings: &StackSettings) -> Result<()> {
        save(&self.stack_settings_path(stack), settings)
    }

    /// The file of a stack's settings, there or not: `Pulumi.<stack>.yaml`, or `.yml` or `.json` where such
    /// a file is there. Of a full name (`organization/project/stack`) the last part counts.
    pub fn stack_settings_path(&self, stack: &str) -> PathBuf {
        let project = self.project_settings().ok().flatten();
        let folder = project.and_then(|project| project.stack_config_dir);
        let folder =
            folder.map_or_else(|| self.place.directory.clone(), |dir| self.place.directory.join(dir));
        let name = stack.rsplit('/').next().unwrap_or(stack);
        find(&folder, &format!("Pulumi.{name}"))
    }
}

pub(super) fn read_project(folder: &Path) -> Result<Option<ProjectSettings>> {
    load(&project_file(folder))
}

/// There or not.
pub(super) fn project_file(folder: &Path) -> PathBuf {
    find(folder, "Pulumi")
}

fn find(folder: &Path, stem: &str) -> PathBuf {
    let path = |extension: &str| folder.join(format!("{stem}.{extension}"));
    ["yaml", "yml", "json"].into_iter().map(path).find(|path| path.exists()).unwrap_or_else(|| path("yaml"))
}

fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::Settings { path: path.to_owned(), message: error.to_string() }),
    };
    let refuse = |message: String| Error::Settings { path: path.to_owned(), message };
    let map = parse(path, &text).map_err(refuse)?;
    serde_json::from_value(Json::Object(map)).map(Some).map_err(|error| refuse(error.to_string()))
}

fn parse(path: &Path, text: &str) -> std::result::Result<Map<String, Json>, String> {
    if is_json(path) { crate::json::read(text).map_err(|error| error.to_string()) } else { yaml::read(text) }
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

fn save(path: &Path, settings: &impl Serialize) -> Result<()> {
    let refuse = |message: String| Error::Settings { path: path.to_owned(), message };
    let wanted = match serde_json::to_value(settings).map_err(|error| refuse(error.to_string()))? {
        Json::Object(map) => map,
        _ => return Err(refuse("settings are a mapping".to_owned())),
    };
    let old = std::fs::read_to_string(path).unwrap_or_default();
    let text =
        if is_json(path) { format!("{:#}\n", Json::Object(wanted)) } else { yaml::edit(&old, &wanted) };
    if text != old || !path.exists() {
        replace(path, &text).map_err(Error::io("write the settings"))?;
    }
    Ok(())
}

/// A file that is whole at every moment: a lost salt would be lost secrets.
pub(crate) fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    if let Ok(metadata) = std::fs::metadata(path) {
        file.as_file().set_permissions(metadata.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests;
