//! Runs instances in a cloud that exists in this program's memory only, or in that of another one.
//!
//! Two resources: a volume that holds the instance's home, and the machine that runs it; and, where the operator wants it, a
//! network that all of them share. The cloud itself
//! is [`Cloud`]; it stands where a vendor's API stands in other modules, and everything around it is what
//! every provider has. Nothing here knows the store, the HTTP API or Pulumi's wire.

mod client;
pub mod cloud;
#[cfg(feature = "conformance")]
pub mod conformance;
mod declare;
mod fence;
mod images;
mod lifecycle;
mod machine;
mod network;
mod owner;
mod snapshots;
mod volume;

use std::sync::Arc;

use async_trait::async_trait;
use contracts::InstallationId;
use contracts::updates::{Change, Updates};
use provider_api::{
    BootSource, Declared, Description, EgressOffer, Exec, ImageStore, Images, Inventory, Lifecycle, Logs,
    Provider, Refuses, Resource, Result, RuntimeSpec, Setting, Settings, Snapshots,
};

use crate::client::Client;
pub use crate::cloud::Cloud;
use crate::cloud::Session;
use crate::images::FakeImages;
use crate::lifecycle::FakeLifecycle;
use crate::snapshots::FakeSnapshots;

/// What an operator may set, as `PILOT_FAKE_...`.
pub const SETTINGS: &[Setting] = &[
    Setting::optional("apiToken", "what a guarded cloud wants to see; an open one takes any").secret(),
    Setting::optional("image", "the instance image").default("fake:1"),
    Setting::optional("network", "a network that is made before the first machine, and that all are in"),
    Setting::optional("url", "the address of a cloud that another program serves; else it is in this one"),
];

/// The `fake` provider module.
pub struct FakeProvider {
    client: Arc<Client>,
    /// What machines are made from when nobody names an image.
    image: String,
    /// What all machines share.
    network: Option<String>,
}

impl FakeProvider {
    /// Does nothing outside; the cloud is reached when it is first needed.
    pub fn new(settings: &Settings, boot: Arc<dyn BootSource>) -> Self {
        match settings.get("url") {
            Some(url) => Self::with(Session::there(url, settings.get("apiToken")), settings, boot),
            None => Self::on(Cloud::default(), settings, boot),
        }
    }

    /// On a given cloud, which others may use too.
    pub fn on(cloud: Cloud, settings: &Settings, boot: Arc<dyn BootSource>) -> Self {
        Self::with(Session::here(cloud, settings.get("apiToken")), settings, boot)
    }

    fn with(session: Session, settings: &Settings, boot: Arc<dyn BootSource>) -> Self {
        let image = settings.get("image").unwrap_or_default().to_owned();
        let network = settings.get("network").map(str::to_owned);
        Self { client: Arc::new(Client::new(session, boot)), image, network }
    }
}

#[async_trait]
impl Provider for FakeProvider {
    fn describe(&self) -> Description {
        Description {
            name: declare::NAME,
            summary: "a cloud in memory, for tests and for trying Pilot; it forgets all when Pilot ends",
            isolation: "fake runs no code of users: its instances give canned answers.",
            unisolated: false,
            regions: declare::regions(),
            sizes: declare::sizes(),
            suspend: true,
            persistent_home: true,
            updates: Updates { image: Change::Reboot, size: Change::InPlace },
            settings: SETTINGS.to_vec(),
        }
    }

    fn declare(&self, runtime: &RuntimeSpec) -> Result<Declared> {
        declare::declare(runtime, &self.image, self.network.as_deref())
    }

    fn shared(&self, installation: &InstallationId) -> Result<Declared> {
        Ok(declare::shared(installation, self.network.as_deref()))
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        vec![
            Arc::new(network::NetworkResource { client: self.client.clone() }),
            Arc::new(volume::VolumeResource { client: self.client.clone() }),
            Arc::new(machine::MachineResource { client: self.client.clone() }),
        ]
    }

    /// Unless its cloud is in this process.
    fn is_shared(&self) -> bool {
        self.client.cloud().is_shared()
    }

    fn lifecycle(&self) -> Arc<dyn Lifecycle> {
        Arc::new(FakeLifecycle { client: self.client.clone() })
    }

    async fn ready(&self) -> Result<()> {
        self.client.ask("reach the cloud", self.client.cloud().ping()).await
    }

    fn images(&self) -> Option<Arc<dyn Images>> {
        Some(Arc::new(FakeImages { client: self.client.clone(), usual: self.image.clone() }))
    }

    fn image_store(&self) -> Option<Arc<dyn ImageStore>> {
        Some(Arc::new(FakeImages { client: self.client.clone(), usual: self.image.clone() }))
    }

    fn egress(&self) -> Option<EgressOffer> {
        Some(EgressOffer::default())
    }

    fn refuses(&self) -> Option<Arc<dyn Refuses>> {
        Some(Arc::new(FakeLifecycle { client: self.client.clone() }))
    }

    fn logs(&self) -> Option<Arc<dyn Logs>> {
        Some(Arc::new(FakeLifecycle { client: self.client.clone() }))
    }

    fn exec(&self) -> Option<Arc<dyn Exec>> {
        Some(Arc::new(FakeLifecycle { client: self.client.clone() }))
    }

    fn snapshots(&self) -> Option<Arc<dyn Snapshots>> {
        Some(Arc::new(FakeSnapshots { client: self.client.clone() }))
    }

    fn inventory(&self) -> Option<Arc<dyn Inventory>> {
        Some(Arc::new(FakeLifecycle { client: self.client.clone() }))
    }
}
