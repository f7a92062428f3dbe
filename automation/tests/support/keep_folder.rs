//! Where the stacks of this test binary's worlds are kept: a folder.

use std::path::{Path, PathBuf};

use pulumi_auto::{Backend, Workspace};
use serde_json::Value as Json;

pub struct Keep(PathBuf);

impl Keep {
    pub fn new(world: &Path) -> Self {
        Self(world.join("state"))
    }

    pub fn backend(&self) -> Backend {
        Backend::Folder(self.0.clone())
    }

    /// With what opens the backend.
    pub fn open(&self, workspace: Workspace) -> Workspace {
        workspace
    }

    pub fn resources(&self, project: &str, stack: &str) -> Vec<Json> {
        let path = self.0.join(format!(".pulumi/stacks/{project}/{stack}.json"));
        let file: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        file["checkpoint"]["latest"]["resources"].as_array().cloned().unwrap_or_default()
    }

    /// True when any file of the state, history and backups has this text.
    pub fn mentions(&self, text: &str) -> bool {
        super::world::files_mention(&self.0, text)
    }
}
