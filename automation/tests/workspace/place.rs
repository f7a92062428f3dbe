//! A project of its own for each test: local state, a passphrase, and a YAML program without providers.

use std::path::Path;

use pulumi_auto::{Backend, Engine, Source, Stack, Workspace};

use crate::support::{driver, world};

pub const PROJECT: &str = "shop";

/// Outputs of every kind; `pin` is configuration.
pub const PROGRAM: &str = r#"
name: shop
runtime: yaml
config:
  pin: { type: string, default: none }
outputs:
  plain: hi
  number: 1.5
  pin: ${pin}
  secret: { "fn::secret": hush }
  nested: { a: { "fn::secret": 1 }, list: [1, { "fn::secret": deep }] }
"#;

pub struct Place {
    pub workspace: Workspace,
    folder: tempfile::TempDir,
}

impl Place {
    pub async fn new() -> Self {
        Self::with_program(PROGRAM).await
    }

    pub async fn with_program(program: &str) -> Self {
        Self::with_engine(driver::open(&world::cli().await).await, program)
    }

    pub fn with_engine(engine: impl Engine + 'static, program: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("project")).unwrap();
        std::fs::write(at("project/Pulumi.yaml"), program).unwrap();
        std::fs::write(at("passphrase"), "correct horse").unwrap();
        let state = Backend::Folder(at("state"));
        let workspace = Workspace::local(engine, at("project"), at("home"), state).unwrap();
        let workspace = workspace.with_passphrase_file(at("passphrase"));
        Self { workspace, folder }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The text of a stack's settings file.
    pub fn settings(&self, stack: &str) -> String {
        std::fs::read_to_string(self.workspace.stack_settings_path(stack)).unwrap()
    }
}

pub async fn up(stack: &Stack) {
    stack.up(Source::Project).await.unwrap();
}
