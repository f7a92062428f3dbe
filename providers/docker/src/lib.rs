//! Runs an instance as a Docker container with its own network and its own home volume.
//!
//! Names are made from the runtime id and every object carries the owner's labels, so Docker itself is
//! the memory of what exists: this module keeps none and may be killed between any two steps. User
//! data is in the volume only, which outlives every container. Secrets travel in an archive into the
//! container's file system, never in what `docker inspect` shows.

mod boot;
mod changes;
mod chosen;
mod claim;
mod confine;
#[cfg(feature = "conformance")]
pub mod conformance;
mod container;
mod copy;
mod declare;
mod doubled;
mod egress;
mod engine;
mod exec;
mod failure;
mod fence;
mod generation;
mod hosts;
mod images;
mod inventory;
mod lasting;
mod lifecycle;
mod locate;
mod logs;
mod names;
mod network;
mod owned;
mod placement;
mod pull;
mod push;
mod reach;
mod registers;
mod room;
mod service;
mod settings;
mod site;
mod snapshots;
mod ssh;
mod statuses;
mod subnet;
mod transport;
mod volume;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::InstallationId;
use contracts::network::PortRange;
use contracts::updates::{Change, Updates};
use contracts::workspace::Image;
use provider_api::{
    BootSource, Declared, Description, EgressOffer, Exec, Finding, ImageStore, Images, Inventory, Lifecycle,
    Logs, Provider, Refuses, RegistryLogins, Resource, Result, RuntimeSpec, Settings, Sites, Snapshots,
};

use crate::hosts::Hosts;
use crate::images::DockerImages;
use crate::lifecycle::DockerLifecycle;

pub use chosen::DockerEnv;
pub use settings::{SETTINGS, check};

/// Which engine, which image, and where instances are reached.
#[derive(Clone)]
pub struct DockerConfig {
    /// `unix:///path/to/docker.sock`; `None` is the one that `docker` would ask.
    pub host: Option<String>,
    /// Where that is looked for.
    pub env: DockerEnv,
    /// Several hosts instead, and how they are reached: [`SETTINGS`] as the operator gave them.
    pub settings: Settings,
    /// The instance image, as the engine knows it.
    pub image: String,
    pub boot: Arc<dyn BootSource>,
    /// Of the registries that images are pulled from.
    pub logins: Arc<dyn RegistryLogins>,
    /// The host address on which the backend's port is published.
    pub publish: IpAddr,
    /// Host ports to choose from; `None` leaves the choice to the kernel.
    pub ports: Option<PortRange>,
}

/// How long this module waits for the answer to one call.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Creating and starting are slow on a busy host; nothing healthy takes longer than this.
    pub call: Duration,
    /// To remove a home or a container with many files takes minutes.
    pub removal: Duration,
    /// To pull or to load an image takes as long as its registry and the line need.
    pub pull: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(60),
            removal: Duration::from_secs(15 * 60),
            pull: Duration::from_secs(30 * 60),
        }
    }
}

/// The `docker` provider module.
pub struct DockerProvider {
    hosts: Arc<Hosts>,
}

impl DockerProvider {
    /// Connects at the first use, so this works without an engine.
    pub fn new(config: DockerConfig) -> Self {
        Self::with_timing(config, Timing::default())
    }

    /// The same with other limits, for tests.
    pub fn with_timing(config: DockerConfig, timing: Timing) -> Self {
        Self { hosts: Arc::new(Hosts::new(config, timing)) }
    }
}

#[async_trait]
impl Provider for DockerProvider {
    fn describe(&self) -> Description {
        Description {
            name: declare::NAME,
            summary: "containers on this machine's Docker engine, or on Docker hosts by TLS or SSH",
            isolation: "docker separates instances by containers on a shared kernel; \
                        do not host hostile tenants on it without gVisor.",
            unisolated: false,
            regions: Vec::new(),
            sizes: declare::sizes(lasting::home_mib(&self.hosts.config.settings).unwrap_or_default()),
            suspend: true,
            persistent_home: true,
            updates: Updates { image: Change::NewInstance, size: Change::InPlace },
            settings: SETTINGS.to_vec(),
        }
    }

    fn declare(&self, runtime: &RuntimeSpec) -> Result<Declared> {
        let image = runtime.image.as_ref().map_or(self.hosts.config.image.as_str(), Image::exact);
        declare::declare(runtime, image)
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        vec![
            Arc::new(network::NetworkResource { hosts: self.hosts.clone() }),
            Arc::new(volume::VolumeResource { hosts: self.hosts.clone() }),
            Arc::new(container::ContainerResource { hosts: self.hosts.clone() }),
            Arc::new(service::ServiceVolumeResource { hosts: self.hosts.clone() }),
            Arc::new(service::ServiceResource { hosts: self.hosts.clone() }),
        ]
    }

    fn lifecycle(&self) -> Arc<dyn Lifecycle> {
        Arc::new(DockerLifecycle { hosts: self.hosts.clone() })
    }

    async fn ready(&self) -> Result<()> {
        self.hosts.are_ready().await
    }

    async fn examine(&self, installation: &InstallationId) -> Vec<Finding> {
        match self.hosts.all() {
            Ok(engines) => {
                let (egress, volumes, networks) = tokio::join!(
                    egress::look(engines, installation),
                    lasting::look(engines, installation),
                    reach::look(engines, installation),
                );
                [egress, volumes, networks].concat()
            }
            // `ready` tells.
            Err(_) => Vec::new(),
        }
    }

    fn sites(&self) -> Option<Arc<dyn Sites>> {
        Some(Arc::new(site::DockerSites { hosts: self.hosts.clone() }))
    }

    fn images(&self) -> Option<Arc<dyn Images>> {
        Some(Arc::new(DockerImages { hosts: self.hosts.clone() }))
    }

    fn image_store(&self) -> Option<Arc<dyn ImageStore>> {
        Some(Arc::new(DockerImages { hosts: self.hosts.clone() }))
    }

    /// What cannot be read is told by [`check`].
    fn egress(&self) -> Option<EgressOffer> {
        let usual = egress::usual(&self.hosts.config.settings).unwrap_or_else(|_| Some(Default::default()));
        let (closed, open) = egress::closed(&self.hosts.config.settings);
        Some(EgressOffer { usual, closed, open, opened_by: egress::OPENED_BY.to_owned() })
    }

    fn refuses(&self) -> Option<Arc<dyn Refuses>> {
        Some(Arc::new(egress::DockerRefusals { hosts: self.hosts.clone() }))
    }

    fn logs(&self) -> Option<Arc<dyn Logs>> {
        Some(Arc::new(DockerLifecycle { hosts: self.hosts.clone() }))
    }

    fn exec(&self) -> Option<Arc<dyn Exec>> {
        Some(Arc::new(DockerLifecycle { hosts: self.hosts.clone() }))
    }

    fn snapshots(&self) -> Option<Arc<dyn Snapshots>> {
        Some(Arc::new(snapshots::DockerSnapshots { hosts: self.hosts.clone() }))
    }

    fn inventory(&self) -> Option<Arc<dyn Inventory>> {
        Some(Arc::new(DockerLifecycle { hosts: self.hosts.clone() }))
    }
}
