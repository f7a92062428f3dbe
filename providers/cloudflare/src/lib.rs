//! Runs an instance as a Cloudflare Container.
//!
//! An installation has one Worker, with one class of Durable Objects, and one container application; a
//! runtime is one Durable Object with its container. So a runtime costs no resource of Cloudflare's API,
//! whose calls are few, but one signed call to the Worker (`worker/src` is its source, uploaded as it is).
//!
//! | What | Calls |
//! |---|---|
//! | create, delete, read, update, start, stop, status of a runtime | 1 to the Worker |
//! | what a runtime owns, and the run-state of up to 500 | 1 to the Worker |
//! | endpoint of a runtime | 1 to the Worker, to see that it runs |
//! | the host name of the Worker, once for each process | 1 to the API, unless the setting `host` tells it |
//! | create of the Worker, once for an installation | 4 to the API, 1 to the Worker, which may have to be waited for |
//! | create of the application, once for an installation | 2 to the API |
//!
//! The disk of a container is gone when it ends: a stop loses the home, but where the setting `schedulingPolicy` is
//! `durable_object`, and a stop takes a snapshot of it. A home is a resource of its own there. Boot files travel in the signed
//! call and are kept, secrets included, in the Durable Object's storage alone: no API gives them back.

mod api;
mod config;
mod control;
mod failure;
mod sign;

mod declare;
mod owner;

mod application;
mod dns;
mod domain;
mod home;
mod runtime;
mod worker;

mod images;
mod push;
mod snapshots;

mod lifecycle;

#[cfg(feature = "conformance")]
pub mod conformance;

use std::sync::Arc;

use async_trait::async_trait;
use contracts::InstallationId;
use provider_api::{
    Declared, Description, ImageStore, Images, Inventory, Lifecycle, OneSite, Provider, Resource, Result,
    RuntimeSpec, Setting, Site, Sites, Snapshots,
};

pub use crate::config::{CloudflareConfig, ControlKey, Identity};

use crate::api::Api;
use crate::config::Policy;
use crate::control::Control;
use crate::images::CloudflareImages;
use crate::lifecycle::CloudflareLifecycle;
use crate::snapshots::CloudflareSnapshots;

/// What all parts of the module share. Clients are made at the first use, so a module without settings
/// can be described.
pub(crate) struct Cloud {
    pub config: CloudflareConfig,
    pub api: Api,
    pub control: Control,
}

/// The `cloudflare` provider module.
pub struct CloudflareProvider {
    cloud: Arc<Cloud>,
}

impl CloudflareProvider {
    pub fn new(config: CloudflareConfig) -> Self {
        let (api, control) = (Api::default(), Control::default());
        Self { cloud: Arc::new(Cloud { config, api, control }) }
    }

    /// What an operator gives the module.
    pub fn settings() -> Vec<Setting> {
        config::SETTINGS.to_vec()
    }

    pub fn name() -> contracts::ProviderName {
        declare::NAME
    }

    /// Whether file systems can be kept, and each start chooses image and size.
    fn keeps_homes(&self) -> bool {
        self.cloud.config.policy() == Policy::DurableObject
    }
}

#[async_trait]
impl Provider for CloudflareProvider {
    fn describe(&self) -> Description {
        let is_kept = self.keeps_homes();
        Description {
            name: declare::NAME,
            summary: "containers on Cloudflare's network, behind one Worker",
            isolation: match is_kept {
                true => "cloudflare runs each instance in a virtual machine of its own.",
                false => {
                    "cloudflare runs each instance in a virtual machine of its own; its disk is gone when it ends."
                }
            },
            unisolated: false,
            regions: Vec::new(),
            sizes: declare::sizes(&self.cloud.config),
            // A container that sleeps keeps no memory.
            suspend: false,
            persistent_home: is_kept,
            updates: declare::updates(&self.cloud.config),
            settings: Self::settings(),
        }
    }

    fn declare(&self, runtime: &RuntimeSpec) -> Result<Declared> {
        declare::declare(&self.cloud.config, runtime)
    }

    fn shared(&self, installation: &InstallationId) -> Result<Declared> {
        declare::shared(&self.cloud.config, installation)
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        vec![
            Arc::new(worker::WorkerResource { cloud: self.cloud.clone() }),
            Arc::new(application::ApplicationResource { cloud: self.cloud.clone() }),
            Arc::new(dns::DnsRecordResource { cloud: self.cloud.clone() }),
            Arc::new(home::HomeResource { cloud: self.cloud.clone() }),
            Arc::new(runtime::RuntimeResource { cloud: self.cloud.clone() }),
        ]
    }

    fn lifecycle(&self) -> Arc<dyn Lifecycle> {
        Arc::new(CloudflareLifecycle { cloud: self.cloud.clone() })
    }

    /// The token may change Workers and containers of the account, and the Worker has a host name. Whether it is there is not
    /// asked: it is made before the first runtime.
    async fn ready(&self) -> Result<()> {
        let config = &self.cloud.config;
        config::check(config)?;
        self.cloud.api.may_write(config).await?;
        self.cloud.has_policy().await?;
        self.cloud.may_have_domain().await?;
        self.cloud.api.domain(config).await.map(drop)
    }

    fn images(&self) -> Option<Arc<dyn Images>> {
        let images = || Arc::new(CloudflareImages { cloud: self.cloud.clone() }) as Arc<dyn Images>;
        self.keeps_homes().then(images)
    }

    fn image_store(&self) -> Option<Arc<dyn ImageStore>> {
        Some(Arc::new(CloudflareImages { cloud: self.cloud.clone() }))
    }

    fn snapshots(&self) -> Option<Arc<dyn Snapshots>> {
        let snapshots = || Arc::new(CloudflareSnapshots { cloud: self.cloud.clone() }) as Arc<dyn Snapshots>;
        self.keeps_homes().then(snapshots)
    }

    fn sites(&self) -> Option<Arc<dyn Sites>> {
        let site =
            |account: &str| Site { id: account.to_owned(), via: "PILOT_CLOUDFLARE_ACCOUNT_ID".to_owned() };
        Some(Arc::new(OneSite {
            kind: "the account",
            recovery_hint: "Name that account in PILOT_CLOUDFLARE_ACCOUNT_ID, with a token of it, and start Pilot again.",
            site: self.cloud.config.account().map(site),
            inventory: Arc::new(CloudflareLifecycle { cloud: self.cloud.clone() }),
        }))
    }

    fn inventory(&self) -> Option<Arc<dyn Inventory>> {
        Some(Arc::new(CloudflareLifecycle { cloud: self.cloud.clone() }))
    }
}
