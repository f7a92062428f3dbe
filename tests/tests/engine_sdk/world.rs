//! One test's program, state and data folder, with the programs that `cargo xtask test` has put in place.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools;

#[derive(Clone, Copy)]
pub enum Language {
    NodeJs,
    Python,
    Go,
    Yaml,
}

impl Language {
    /// As Pulumi calls it.
    fn runtime(self) -> &'static str {
        match self {
            Language::NodeJs => "nodejs",
            Language::Python => "python",
            Language::Go => "go",
            Language::Yaml => "yaml",
        }
    }

    /// Where the program is, below `programs`.
    fn folder(self) -> &'static str {
        match self {
            Language::NodeJs => "typescript",
            Language::Python => "python",
            Language::Go => "go",
            Language::Yaml => "yaml",
        }
    }
}

pub struct World {
    language: Language,
    /// The folder of the program; the state and all else is beside it.
    pub program: PathBuf,
    /// The language hosts and the runtimes of the SDKs.
    pub languages: PathBuf,
    plugin: PathBuf,
    folder: tempfile::TempDir,
}

impl World {
    pub fn new(language: Language) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        let source = Self::repository().join("tests/tests/engine_sdk/programs").join(language.folder());
        std::fs::create_dir(&program).unwrap();
        for file in std::fs::read_dir(source).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), program.join(file.file_name())).unwrap();
        }
        let project = format!("name: pilot-sdk\nruntime: {}\n", language.runtime());
        std::fs::write(program.join("Pulumi.yaml"), project).unwrap();
        for name in ["state", "home"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let languages = tools::languages();
        assert!(languages.is_dir(), "{} is missing; run `cargo xtask tools --tests`", languages.display());
        let programs = std::env::current_exe().unwrap();
        let plugin = programs.parent().and_then(Path::parent).unwrap().join("pulumi-resource-pilot");
        assert!(plugin.exists(), "{} is missing; run `cargo build` first", plugin.display());
        Self { language, program, languages, plugin, folder }
    }

    pub fn repository() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
    }

    pub fn plugin(&self) -> &str {
        self.plugin.to_str().unwrap()
    }

    /// Where the Python SDK is installed.
    pub fn site(&self) -> PathBuf {
        self.folder.path().join("site")
    }

    /// The SDK's folder, inside the program's.
    pub fn generate_sdk(&self) -> PathBuf {
        let language = self.language.runtime();
        self.pulumi(&["package", "gen-sdk", self.plugin(), "--language", language, "--out", "sdk"]);
        self.program.join("sdk").join(language)
    }

    /// From the first preview to the destroy, with a change between.
    pub fn whole_life(&self) {
        let home = self.home();
        self.pulumi(&["stack", "init", "dev"]);
        self.pulumi(&["config", "set", "generation", "1"]);
        // With a preview, in which the path is not known.
        self.pulumi(&["up", "--yes"]);
        assert!(home.is_dir());
        let outputs = self.outputs();
        assert_eq!(outputs["path"], home.to_str().unwrap());
        assert_eq!(outputs["generation"], 1);
        assert!(outputs["providers"].as_array().unwrap().contains(&"local".into()), "{outputs}");
        self.pulumi(&["preview", "--expect-no-changes"]);

        self.pulumi(&["config", "set", "generation", "2"]);
        let changed = self.pulumi(&["up", "--yes", "--skip-preview"]);
        assert!(changed.contains("1 updated") && !changed.contains("replaced"), "{changed}");
        assert_eq!(self.outputs()["generation"], 2);
        self.pulumi(&["refresh", "--yes", "--skip-preview", "--expect-no-changes"]);

        self.pulumi(&["destroy", "--yes", "--skip-preview"]);
        assert!(!home.exists());
    }

    /// What the programs make.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("data/local/rt-00000000000000aa/home")
    }

    fn outputs(&self) -> serde_json::Value {
        serde_json::from_str(&self.pulumi(&["stack", "output", "--json"])).unwrap()
    }

    /// What the CLI wrote to stdout; it must succeed.
    pub fn pulumi(&self, arguments: &[&str]) -> String {
        let pulumi = tools::pulumi();
        let mut all = arguments.to_vec();
        all.extend(["--non-interactive", "--color", "never"]);
        self.run(pulumi.to_str().unwrap(), &all)
    }

    /// What the CLI said when it failed, as it must.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let pulumi = tools::pulumi();
        let mut command = self.command(pulumi.to_str().unwrap());
        let output =
            command.args(arguments).args(["--non-interactive", "--color", "never"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{said}");
        said.into_owned()
    }

    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.command(program).args(arguments).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}:\n{said}\n{complained}");
        said
    }

    fn command(&self, program: &str) -> Command {
        let folder = self.folder.path();
        let before = std::env::var_os("PATH").unwrap();
        let ours = [self.languages.clone(), self.plugin.parent().unwrap().to_path_buf()];
        let path = std::env::join_paths(ours.into_iter().chain(std::env::split_paths(&before))).unwrap();
        let python = std::env::join_paths([self.languages.join("python"), self.site()]).unwrap();
        let mut command = Command::new(program);
        command
            .current_dir(&self.program)
            .env("PATH", path)
            .env("PYTHONPATH", python)
            .env("CGO_ENABLED", "0")
            .env("PULUMI_HOME", folder.join("home"))
            .env("PULUMI_BACKEND_URL", format!("file://{}", folder.join("state").display()))
            .env("PULUMI_CONFIG_PASSPHRASE", "test")
            .env("PULUMI_SKIP_UPDATE_CHECK", "true")
            .env("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true")
            .env("PILOT_DATA", folder.join("data"));
        command
    }
}
