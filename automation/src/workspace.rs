//! One project: where its state is, how its secrets are kept, which providers are attached.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::command::Cli;
use crate::error::{Error, Result};
use crate::stack::Stack;

/// Where state lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// A folder of this machine; locks of dead processes can be proven and removed.
    Folder(PathBuf),
    /// Any URL that Pulumi knows.
    Url(String),
}

impl Backend {
    pub fn url(&self) -> String {
        match self {
            Backend::Folder(path) => format!("file://{}", path.display()),
            Backend::Url(url) => url.clone(),
        }
    }
}

/// Everything a stack's operations share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Workspace {
    pub(crate) cli: Cli,
    pub(crate) project: String,
    pub(crate) directory: PathBuf,
    pub(crate) backend: Backend,
    pub(crate) home: PathBuf,
    passphrase_file: Option<PathBuf>,
    attached: BTreeMap<String, u16>,
    extra_env: BTreeMap<String, String>,
}

impl Workspace {
    /// A project for inline programs, in `directory`. `Pulumi.yaml` and the stacks' settings files are
    /// kept there; `home` is Pulumi's own folder (plugins, selection). Both are created.
    pub fn inline(
        cli: Cli,
        project: &str,
        directory: impl Into<PathBuf>,
        home: impl Into<PathBuf>,
        backend: Backend,
    ) -> Result<Self> {
        let workspace = Self::local(cli, project, directory, home, backend)?;
        let file = workspace.directory.join("Pulumi.yaml");
        // The runtime named here is never started: `--client` stands in for it.
        let text = format!("name: {project}\nruntime: yaml\n");
        if std::fs::read_to_string(&file).ok().as_deref() != Some(&text) {
            std::fs::write(&file, text).map_err(Error::io("write Pulumi.yaml"))?;
        }
        Ok(workspace)
    }

    /// A project that is already in `directory`, with a program of its own.
    pub fn local(
        cli: Cli,
        project: &str,
        directory: impl Into<PathBuf>,
        home: impl Into<PathBuf>,
        backend: Backend,
    ) -> Result<Self> {
        let (directory, home) = (directory.into(), home.into());
        std::fs::create_dir_all(&directory).map_err(Error::io("create the project folder"))?;
        std::fs::create_dir_all(&home).map_err(Error::io("create Pulumi's home folder"))?;
        if let Backend::Folder(folder) = &backend {
            std::fs::create_dir_all(folder).map_err(Error::io("create the state folder"))?;
        }
        Ok(Self {
            cli,
            project: project.to_owned(),
            directory,
            backend,
            home,
            passphrase_file: None,
            attached: BTreeMap::new(),
            extra_env: BTreeMap::new(),
        })
    }

    /// Encrypt secrets with the passphrase in this file.
    pub fn with_passphrase_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.passphrase_file = Some(path.into());
        self
    }

    /// A provider that already serves on this port of 127.0.0.1: the engine connects to it instead of
    /// starting a plugin.
    pub fn with_attached_provider(mut self, package: &str, port: u16) -> Self {
        self.attached.insert(package.to_owned(), port);
        self
    }

    /// One more environment variable for every `pulumi` process. Its environment is otherwise built
    /// here and inherits nothing.
    pub fn with_env(mut self, key: &str, value: &str) -> Self {
        self.extra_env.insert(key.to_owned(), value.to_owned());
        self
    }

    /// A stack of this project. Nothing is read or created yet.
    pub fn stack(&self, name: &str) -> Stack {
        Stack { workspace: self.clone(), name: name.to_owned() }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    pub(crate) fn env(&self) -> Vec<(OsString, OsString)> {
        let mut env: Vec<(OsString, OsString)> = Vec::new();
        let mut set = |key: &str, value: OsString| env.push((key.into(), value));
        // The CLI finds its language hosts beside itself.
        let beside = self.cli.path().parent().map(Path::as_os_str).unwrap_or_default();
        let mut path = beside.to_owned();
        path.push(":/usr/local/bin:/usr/bin:/bin");
        set("PATH", path);
        set("HOME", self.home.clone().into());
        set("PULUMI_HOME", self.home.clone().into());
        set("PULUMI_BACKEND_URL", self.backend.url().into());
        set("PULUMI_AUTOMATION_API", "true".into());
        set("PULUMI_DEBUG_COMMANDS", "true".into());
        set("PULUMI_SKIP_UPDATE_CHECK", "true".into());
        set("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true".into());
        set("PULUMI_DISABLE_REGISTRY_RESOLVE", "true".into());
        set("PULUMI_DIY_BACKEND_NO_LEGACY_WARNING", "true".into());
        // A lost settings file must not silently get a new salt.
        set("PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER", "true".into());
        set("NO_COLOR", "1".into());
        match &self.passphrase_file {
            Some(file) => set("PULUMI_CONFIG_PASSPHRASE_FILE", file.clone().into()),
            None => set("PULUMI_CONFIG_PASSPHRASE", OsString::new()),
        }
        if !self.attached.is_empty() {
            let list: Vec<String> =
                self.attached.iter().map(|(name, port)| format!("{name}:{port}")).collect();
            set("PULUMI_DEBUG_PROVIDERS", list.join(",").into());
        }
        for (key, value) in &self.extra_env {
            set(key, value.into());
        }
        env
    }
}
