//! Runs an instance as a Docker container with its own network and its own home volume.
//!
//! Names are made from the runtime id and every object carries the owner's labels, so Docker itself is
//! the memory of what exists: this module keeps none and may be killed between any two steps. User
//! data is in the volume only, which outlives every container. Secrets travel in an archive into the
//! container's file system, never in what `docker inspect` shows.

mod boot;
mod container;
mod declare;
mod engine;
mod exec;
mod failure;
mod generation;
mod inventory;
mod lifecycle;
mod locks;
mod logs;
mod names;
mod network;
mod service;
mod volume;

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use contracts::network::PortRange;
use provider_api::{
    BootSource, Declared, Description, Exec, Inventory, Lifecycle, Logs, Provider, Resource, Result,
    RuntimeSpec,
};

use crate::engine::Engine;
use crate::lifecycle::DockerLifecycle;

/// Which engine, which image, and where instances are reached.
#[derive(Clone)]
pub struct DockerConfig {
    /// `unix:///path/to/docker.sock`; `None` is Docker's own default.
    pub host: Option<String>,
    /// The instance image, as the engine knows it.
    pub image: String,
    pub boot: Arc<dyn BootSource>,
    /// The host address on which the backend's port is published.
    pub publish: IpAddr,
    /// Host ports to choose from; `None` leaves the choice to the kernel.
    pub ports: Option<PortRange>,
}

/// The `docker` provider module.
pub struct DockerProvider {
    engine: Arc<Engine>,
}

impl DockerProvider {
    /// Connects at the first use, so this works without an engine.
    pub fn new(config: DockerConfig) -> Self {
        Self { engine: Arc::new(Engine::new(config)) }
    }
}

#[async_trait]
impl Provider for DockerProvider {
    fn describe(&self) -> Description {
        Description {
            name: declare::name(),
            summary: "containers on this machine's Docker engine",
            isolation: "docker separates instances by containers on a shared kernel; \
                        do not host hostile tenants on it without gVisor.",
            unisolated: false,
            regions: Vec::new(),
            sizes: declare::sizes(),
            suspend: true,
            persistent_home: true,
            settings: Vec::new(),
        }
    }

    fn declare(&self, runtime: &RuntimeSpec) -> Result<Declared> {
        declare::declare(runtime, &self.engine.config.image)
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        vec![
            Arc::new(network::NetworkResource { engine: self.engine.clone() }),
            Arc::new(volume::VolumeResource { engine: self.engine.clone() }),
            Arc::new(container::ContainerResource { engine: self.engine.clone() }),
            Arc::new(service::ServiceVolumeResource { engine: self.engine.clone() }),
            Arc::new(service::ServiceResource { engine: self.engine.clone() }),
        ]
    }

    fn lifecycle(&self) -> Arc<dyn Lifecycle> {
        Arc::new(DockerLifecycle { engine: self.engine.clone() })
    }

    async fn ready(&self) -> Result<()> {
        self.engine.is_ready().await
    }

    fn logs(&self) -> Option<Arc<dyn Logs>> {
        Some(Arc::new(DockerLifecycle { engine: self.engine.clone() }))
    }

    fn exec(&self) -> Option<Arc<dyn Exec>> {
        Some(Arc::new(DockerLifecycle { engine: self.engine.clone() }))
    }

    fn inventory(&self) -> Option<Arc<dyn Inventory>> {
        Some(Arc::new(DockerLifecycle { engine: self.engine.clone() }))
    }
}
