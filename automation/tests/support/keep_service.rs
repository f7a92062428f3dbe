//! Where the stacks of this test binary's worlds are kept: a Pulumi service of each world's own.

use std::path::Path;

use pulumi_auto::{Backend, Workspace};
use serde_json::Value as Json;

use super::service::{Service, TOKEN};

pub struct Keep(pub Service);

impl Keep {
    pub fn new(_: &Path) -> Self {
        Self(Service::start())
    }

    pub fn backend(&self) -> Backend {
        Backend::Url(self.0.url())
    }

    /// With what opens the backend.
    pub fn open(&self, workspace: Workspace) -> Workspace {
        workspace.with_env("PULUMI_ACCESS_TOKEN", TOKEN)
    }

    pub fn resources(&self, project: &str, stack: &str) -> Vec<Json> {
        self.0.resources(project, stack)
    }

    pub fn mentions(&self, text: &str) -> bool {
        self.0.mentions(text)
    }
}
