//! Runs an instance as a process tree of this host, under the account that runs Pilot.
//!
//! Two resources: a directory that holds the instance's home, and the process itself. What exists is
//! what the operating system says: processes are found by their labels in `/proc`, never by a
//! remembered process id, so this module may be killed between any two steps. It gives no isolation
//! and must never be offered as if it did. Nothing here knows the store, HTTP or Pulumi's wire.

#[cfg(feature = "conformance")]
pub mod conformance;
mod declare;
mod definition;
mod directory;
mod exec;
mod files;
mod host;
mod layout;
mod lifecycle;
mod lock;
mod logs;
mod measure;
mod ports;
mod process;
mod procfs;
mod snapshots;
mod spawn;
mod tree;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use contracts::network::PortRange;
use contracts::updates::{Change, Updates};
use contracts::workspace::Size;
use provider_api::{
    BootSource, Declared, Description, Exec, Inventory, Lifecycle, Logs, Provider, Resource, Result,
    RuntimeSpec, Snapshots,
};

use crate::host::Host;
use crate::lifecycle::LocalLifecycle;

/// The only size: an instance may use whatever the host has.
pub(crate) const SIZE: &str = "host";

/// Where things are on this machine.
#[derive(Clone)]
pub struct LocalConfig {
    /// Holds one folder for each runtime; made when it is missing.
    pub root: PathBuf,
    /// The instance's init, `pilot-instance`.
    pub instance_binary: PathBuf,
    pub opencode_binary: PathBuf,
    /// Each instance takes two ports from here, on loopback.
    pub ports: PortRange,
    pub boot: Arc<dyn BootSource>,
}

/// The `local` provider module.
pub struct LocalProvider {
    host: Arc<Host>,
}

impl LocalProvider {
    /// Does nothing outside; the root folder is made when it is first needed.
    pub fn new(config: LocalConfig) -> Self {
        Self { host: Arc::new(Host::new(config)) }
    }
}

#[async_trait]
impl Provider for LocalProvider {
    fn describe(&self) -> Description {
        Description {
            name: declare::NAME,
            summary: "processes on this machine, for trying Pilot without a container engine",
            isolation: "local gives no isolation: an instance runs as your own user and can read your files.",
            unisolated: true,
            regions: Vec::new(),
            sizes: vec![Size {
                name: SIZE.to_owned(),
                memory_mib: None,
                cpu_millis: None,
                disk_mib: None,
                hourly_micro_usd: None,
            }],
            suspend: false,
            persistent_home: true,
            updates: Updates { image: Change::NextStart, size: Change::Fixed },
            settings: Vec::new(),
        }
    }

    fn declare(&self, runtime: &RuntimeSpec) -> Result<Declared> {
        declare::declare(runtime)
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        vec![
            Arc::new(directory::Directory { host: self.host.clone() }),
            Arc::new(process::Process { host: self.host.clone() }),
        ]
    }

    /// They are processes of this machine, with files in this data folder.
    fn is_shared(&self) -> bool {
        false
    }

    fn lifecycle(&self) -> Arc<dyn Lifecycle> {
        Arc::new(LocalLifecycle { host: self.host.clone() })
    }

    async fn ready(&self) -> Result<()> {
        self.host.run(|host| host.programs_are_present()).await
    }

    fn logs(&self) -> Option<Arc<dyn Logs>> {
        Some(Arc::new(LocalLifecycle { host: self.host.clone() }))
    }

    fn exec(&self) -> Option<Arc<dyn Exec>> {
        Some(Arc::new(LocalLifecycle { host: self.host.clone() }))
    }

    fn snapshots(&self) -> Option<Arc<dyn Snapshots>> {
        Some(Arc::new(snapshots::LocalSnapshots { host: self.host.clone() }))
    }

    fn inventory(&self) -> Option<Arc<dyn Inventory>> {
        Some(Arc::new(LocalLifecycle { host: self.host.clone() }))
    }
}
