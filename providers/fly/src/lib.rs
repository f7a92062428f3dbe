//! Runs an instance as a Fly Machine, in an app of its own with its own network and home volume.
//!
//! Names are made from the runtime's id and machines carry their owner in metadata, so Fly itself is the
//! memory of what exists; this module may be killed between any two calls. User data is in the volume
//! only. Boot files travel as secrets of the app that Fly writes as files when the machine boots; no call
//! reads them back. A call whose answer is lost is repeated only where a second one makes no second
//! object: an app has an idempotency key, a machine a unique name; for a volume it is looked afterwards, and
//! before as well unless the app is new.
//!
//! Calls of one create, when nothing is in the way:
//!
//! | Resource | Calls |
//! |---|---|
//! | app | create; list and assign an address |
//! | home | create, list (a volume's name is not unique: of two, the older one stays) |
//! | instance | placements if `probeCapacity`, secrets, create, wait |
//!
//! That is 8. A program that did not make or see the app itself
//! reads it once more, to be sure whose it is, and lists its volumes before it makes one. Start: read, start, wait; six more when the boot files
//! have changed. Suspend, stop: read, act, wait. One more of each when the fence rises. All of them keep to Fly's published rate for each
//! action and object before Fly has to refuse.
//!
//! The machine's metadata keeps the generation and the highest fence for the whole app, so both are kept from the
//! machine's beginning to its end; without one, an app and a volume say whose they are and nothing else.
//!
//! Fly has no API for logs, so there are none. A new, empty volume belongs to root, so the machine's first
//! process is root's: the instance's init gives the home to its user and goes on as that user.

mod abilities;
mod address;
mod app;
mod boot;
mod client;
mod declare;
mod failure;
mod fly;
mod fork;
mod instance;
mod inventory;
mod lifecycle;
mod machine;
mod names;
mod owned;
mod push;
mod settings;
mod snapshots;
mod volume;
mod wire;

#[cfg(feature = "conformance")]
pub mod conformance;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::updates::{Change, Updates};
use provider_api::{
    BootSource, Declared, Description, Exec, ImageStore, Images, Inventory, Lifecycle, OneSite, Provider,
    Resource, Result, RuntimeSpec, Settings, Site, Sites, Snapshots,
};

use crate::fly::Fly;
use crate::lifecycle::FlyLifecycle;

pub use crate::settings::{SETTINGS, check};

/// How long this module waits.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// For the answer to one call.
    pub call: Duration,
    /// For a call with all its attempts.
    pub timeout: Duration,
    /// For a machine to become what was asked.
    pub settle: Duration,
    /// For what was just made to be seen everywhere.
    pub visible: Duration,
    /// How many times Fly's published rates are kept to; `None` is without any. A simulator may have none, or a faster clock.
    pub rates: Option<u32>,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(30),
            timeout: Duration::from_secs(75),
            settle: Duration::from_secs(150),
            visible: Duration::from_secs(10),
            rates: Some(1),
        }
    }
}

/// The `fly` provider module.
pub struct FlyProvider {
    fly: Arc<Fly>,
}

impl FlyProvider {
    /// Calls nobody; a missing setting is an error when it is first needed.
    pub fn new(settings: Settings, boot: Arc<dyn BootSource>) -> Self {
        Self::with_timing(settings, boot, Timing::default())
    }

    /// Like `new`, with another timeout.
    pub fn with_timing(settings: Settings, boot: Arc<dyn BootSource>, timing: Timing) -> Self {
        Self { fly: Arc::new(Fly::new(settings, boot, timing)) }
    }
}

#[async_trait]
impl Provider for FlyProvider {
    fn describe(&self) -> Description {
        Description {
            name: declare::NAME,
            summary: "machines of Fly.io, each in a network of its own",
            isolation: "fly gives each instance a virtual machine and a private network of its own.",
            unisolated: false,
            regions: settings::regions(&self.fly.settings),
            sizes: declare::sizes(),
            suspend: true,
            persistent_home: true,
            updates: Updates { image: Change::Reboot, size: Change::Reboot },
            settings: SETTINGS.to_vec(),
        }
    }

    fn declare(&self, runtime: &RuntimeSpec) -> Result<Declared> {
        let image = match &runtime.image {
            Some(image) => image.exact(),
            None => self.fly.settings.require("image")?,
        };
        declare::declare(runtime, image, &settings::regions(&self.fly.settings), self.fly.reach()?)
    }

    fn resources(&self) -> Vec<Arc<dyn Resource>> {
        vec![
            Arc::new(app::AppResource { fly: self.fly.clone() }),
            Arc::new(volume::VolumeResource { fly: self.fly.clone() }),
            Arc::new(machine::MachineResource { fly: self.fly.clone() }),
        ]
    }

    fn lifecycle(&self) -> Arc<dyn Lifecycle> {
        Arc::new(FlyLifecycle { fly: self.fly.clone() })
    }

    async fn ready(&self) -> Result<()> {
        self.fly.settings.require("image")?;
        settings::reach(&self.fly.settings)?;
        self.fly.client()?.check_token().await
    }

    fn sites(&self) -> Option<Arc<dyn Sites>> {
        let site = |org: &str| Site { id: org.to_owned(), via: "PILOT_FLY_ORG".to_owned() };
        Some(Arc::new(OneSite {
            kind: "the organisation",
            recovery_hint: "Name that organisation in PILOT_FLY_ORG, with a token of it, and start Pilot again.",
            site: self.fly.settings.require("org").map(site),
            inventory: Arc::new(FlyLifecycle { fly: self.fly.clone() }),
        }))
    }

    fn suspends(&self, size: &str) -> bool {
        declare::suspends(size)
    }

    fn images(&self) -> Option<Arc<dyn Images>> {
        Some(Arc::new(FlyLifecycle { fly: self.fly.clone() }))
    }

    fn image_store(&self) -> Option<Arc<dyn ImageStore>> {
        Some(Arc::new(FlyLifecycle { fly: self.fly.clone() }))
    }

    fn exec(&self) -> Option<Arc<dyn Exec>> {
        Some(Arc::new(FlyLifecycle { fly: self.fly.clone() }))
    }

    fn snapshots(&self) -> Option<Arc<dyn Snapshots>> {
        Some(Arc::new(FlyLifecycle { fly: self.fly.clone() }))
    }

    fn inventory(&self) -> Option<Arc<dyn Inventory>> {
        Some(Arc::new(FlyLifecycle { fly: self.fly.clone() }))
    }
}
