//! What a process is started from: enough to start it after a reboot, when nothing else is remembered.
//! Paths of this machine's programs stay out; they come from the configuration at each start.

use contracts::{ErrorCode, InstallationId, RuntimeId};
use provider_api::{ProviderError, Result, RuntimeRef, Stale};
use provider_kit::inputs::Git;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::layout::Layout;

const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Definition {
    pub version: u32,
    pub installation: InstallationId,
    pub runtime: RuntimeId,
    pub generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    /// Where the backend listens; the port that the outside uses.
    pub port: u16,
    pub opencode_port: u16,
}

impl Definition {
    pub fn new(runtime: &RuntimeRef, (port, opencode_port): (u16, u16)) -> Self {
        Self {
            version: VERSION,
            installation: runtime.installation.clone(),
            runtime: runtime.runtime_id.clone(),
            generation: 0,
            git_url: None,
            git_ref: None,
            port,
            opencode_port,
        }
    }

    pub fn load(layout: &Layout, runtime: &RuntimeId) -> Result<Option<Self>> {
        let path = layout.definition(runtime);
        match files::read_json::<Self>(&path)? {
            Some(definition) if definition.version != VERSION => {
                let message = format!(
                    "{} has version {}, and this Pilot reads version {VERSION}",
                    path.display(),
                    definition.version
                );
                Err(ProviderError::new(ErrorCode::DataFolderUnusable, message)
                    .with_action("Use the Pilot that wrote it, or a newer one."))
            }
            other => Ok(other),
        }
    }

    /// Passes unless a newer generation defined the process. Call with the runtime's lock held.
    pub fn must_be_newest(layout: &Layout, runtime: &RuntimeId, generation: u64) -> Result<()> {
        match Self::load(layout, runtime)? {
            Some(newer) if newer.generation > generation => {
                let process = ("process", runtime.as_str());
                Err(ProviderError::fenced(Stale::Generation, process, generation, newer.generation))
            }
            _ => Ok(()),
        }
    }

    pub fn owner(&self) -> RuntimeRef {
        RuntimeRef::new(self.runtime.clone(), self.installation.clone())
    }

    pub fn git(&self) -> Git {
        Git { git_url: self.git_url.clone(), git_ref: self.git_ref.clone() }
    }

    pub fn store(&self, layout: &Layout) -> Result<()> {
        files::write_json(&layout.definition(&self.runtime), self)
    }

    pub fn ports(&self) -> (u16, u16) {
        (self.port, self.opencode_port)
    }

    pub fn set_ports(&mut self, (port, opencode_port): (u16, u16)) {
        (self.port, self.opencode_port) = (port, opencode_port);
    }
}
