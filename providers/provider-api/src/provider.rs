//! The module itself: what it offers and what one runtime needs.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::egress::{Destination, EgressAllow, Host};
use contracts::updates::Updates;
use contracts::workspace::{GitSource, Image, ProviderCapabilities, Region, Size};
use contracts::{InstallationId, ProviderName, RuntimeId};

use crate::declare::Declared;
use crate::error::Result;
use crate::image_store::ImageStore;
use crate::lifecycle::{Exec, Images, Inventory, Lifecycle, Logs};
use crate::refusals::Refuses;
use crate::resource::Resource;
use crate::settings::Setting;
use crate::site::Sites;
use crate::snapshots::{Snapshots, Source};

/// What users and operators read before they choose.
#[derive(Debug, Clone)]
pub struct Description {
    /// As in `--provider`; also the second part of its resource types.
    pub name: ProviderName,
    /// One line: what it runs instances on.
    pub summary: &'static str,
    /// One plain line: what separates an instance from others and from the host.
    pub isolation: &'static str,
    /// True when instances of this provider are not separated from the account that runs Pilot.
    pub unisolated: bool,
    /// The first is the default; empty when there is one place only.
    pub regions: Vec<Region>,
    /// The first is the default.
    pub sizes: Vec<Size>,
    /// Suspend keeps memory; see [`ProviderCapabilities`].
    pub suspend: bool,
    /// Whether the home outlives a stop.
    pub persistent_home: bool,
    /// How another image and another size change an instance that is there, in the stack that is declared.
    pub updates: Updates,
    /// What an operator gives the module, credentials among it.
    pub settings: Vec<Setting>,
}

/// One runtime to declare resources for. Holds no credential and no slug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeSpec {
    /// The runtime's identity, for ever; names of external objects are made from it.
    pub runtime_id: RuntimeId,
    /// The owner of everything that is made.
    pub installation: InstallationId,
    /// Rises with every change of the spec; a label on every external object.
    pub generation: u64,
    /// One of [`Description::sizes`].
    pub size: String,
    /// One of [`Description::regions`]; `None` when there are none.
    pub region: Option<String>,
    /// What [`Images::resolve`] has given; `None` for what instances are usually made from, and where runtimes have no images
    /// of their own. What is declared is [`Image::exact`] alone: who has learned more of an image changes no stack.
    pub image: Option<Image>,
    /// Cloned into the home at the first boot.
    pub git: Option<GitSource>,
    /// What the home begins with when it is made. An input of what holds the home: it says nothing of a home that is there.
    pub source: Option<Source>,
    /// The destinations that it reaches, and nothing else, where [`Provider::egress`] is there. `None`: what the provider lets every
    /// instance reach.
    pub egress: Option<EgressAllow>,
}

impl RuntimeSpec {
    /// The first generation of a runtime of which no more is said: all else is as its provider usually has it.
    pub fn new(runtime_id: RuntimeId, installation: InstallationId, size: impl Into<String>) -> Self {
        Self {
            runtime_id,
            installation,
            generation: 1,
            size: size.into(),
            region: None,
            image: None,
            git: None,
            source: None,
            egress: None,
        }
    }
}

/// What an operator should know of how instances run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, for example `egress of host a`.
    pub name: String,
    /// False where it is not as the operator wants it.
    pub ok: bool,
    /// What was seen.
    pub detail: String,
    /// What to do about it.
    pub action: Option<String>,
}

/// A runtime can have a list of destinations: what it does not name is refused, from the first moment that the instance runs, and
/// another list is in force when its update has returned. The home stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressOffer {
    /// What the operator has set for those of which nobody says anything; `None`: no list.
    pub usual: Option<EgressAllow>,
    /// Addresses that stay closed for every instance, whatever a list says.
    pub closed: Vec<Host>,
    /// Those among them that stay open all the same: the operator wants that.
    pub open: Vec<Host>,
    /// What an operator sets to open more of them, as `NAME`; empty where nothing does.
    pub opened_by: String,
}

impl EgressOffer {
    /// Whether an entry of a list could open nothing at all.
    pub fn stays_closed(&self, entry: &Destination) -> bool {
        self.closed.iter().any(|closed| closed.has(&entry.host))
            && !self.open.iter().any(|open| open.meets(&entry.host))
    }
}

/// A provider module. At most six required methods; abilities that not every cloud has are optional.
#[async_trait]
pub trait Provider: Send + Sync {
    /// What users and operators read before they choose. Constant, and without I/O.
    fn describe(&self) -> Description;

    /// The resources of one runtime. Pure: no I/O, no clock, no randomness, so that a plan can be made
    /// anywhere and is the same every time.
    fn declare(&self, runtime: &RuntimeSpec) -> Result<Declared>;

    /// Every resource type that `declare` and `shared` may name.
    fn resources(&self) -> Vec<Arc<dyn Resource>>;

    /// Start, stop and status of what `declare` made.
    fn lifecycle(&self) -> Arc<dyn Lifecycle>;

    /// Whether a create could work now: tools present, host reachable, credentials accepted. Called
    /// before a request is accepted and by `pilot doctor`; at most a second or two.
    async fn ready(&self) -> Result<()>;

    /// What all runtimes of an installation use together, as a stack of its own that is applied before
    /// the first runtime. Pure, like `declare`. Most providers need nothing.
    fn shared(&self, _installation: &InstallationId) -> Result<Declared> {
        Ok(Declared::default())
    }

    /// Whether an instance of this size can be suspended, where the provider can suspend at all.
    fn suspends(&self, _size: &str) -> bool {
        self.describe().suspend
    }

    /// How many runtimes one program makes or deletes here at a time; those that boot do not count.
    fn concurrency(&self) -> usize {
        8
    }

    /// Whether another orchestrator of the installation, on another machine, reaches the same runtimes.
    fn is_shared(&self) -> bool {
        true
    }

    /// What `pilot doctor` tells besides [`Provider::ready`]: what instances of this installation can do that they should not,
    /// seen from where they are. It changes nothing and takes some seconds.
    async fn examine(&self, _installation: &InstallationId) -> Vec<Finding> {
        Vec::new()
    }

    /// Who the places are that the settings lead to, where they could lead to others. What is told here is never taken back:
    /// a module that has sites once has them for ever.
    fn sites(&self) -> Option<Arc<dyn Sites>> {
        None
    }

    /// What instances are made from, where each runtime has an image of its own. An update of the image changes the instance
    /// and keeps the home, and what does not run does not run afterwards.
    fn images(&self) -> Option<Arc<dyn Images>> {
        None
    }

    /// Where images can be brought from an archive, so that instances can be made from them.
    fn image_store(&self) -> Option<Arc<dyn ImageStore>> {
        None
    }

    /// Whether a runtime can have a list of destinations ([`RuntimeSpec::egress`]), and which one new ones usually have.
    fn egress(&self) -> Option<EgressOffer> {
        None
    }

    /// What instances were refused lately, where lists are held and somebody remembers.
    fn refuses(&self) -> Option<Arc<dyn Refuses>> {
        None
    }

    /// What instances say, where the provider keeps it.
    fn logs(&self) -> Option<Arc<dyn Logs>> {
        None
    }

    /// Commands inside instances, where the provider can run them.
    fn exec(&self) -> Option<Arc<dyn Exec>> {
        None
    }

    /// Copies of homes, where the provider can take them.
    fn snapshots(&self) -> Option<Arc<dyn Snapshots>> {
        None
    }

    /// What users are told: what is described, and the abilities that are there.
    fn capabilities(&self) -> ProviderCapabilities {
        let described = self.describe();
        ProviderCapabilities {
            suspend: described.suspend,
            persistent_home: described.persistent_home,
            hibernate: described.persistent_home,
            logs: self.logs().is_some(),
            exec: self.exec().is_some(),
            snapshot: self.snapshots().is_some(),
            rewind: self.snapshots().is_some_and(|snapshots| snapshots.restores()),
            fork: self.snapshots().is_some_and(|snapshots| snapshots.forks()),
            image: self.images().is_some(),
            egress: self.egress().is_some(),
            push: self.image_store().is_some(),
        }
    }

    /// What exists outside, found by labels. Not asked of users, but the suite wants it.
    fn inventory(&self) -> Option<Arc<dyn Inventory>> {
        None
    }
}

/// A file that an instance must find when it boots. It never passes through Pulumi, so it may hold
/// secrets. The path is relative to the instance user's home; the file is readable by that user only.
#[derive(Clone, PartialEq, Eq)]
pub struct BootFile {
    /// Below the home.
    pub path: String,
    /// May be a secret.
    pub content: Vec<u8>,
}

impl std::fmt::Debug for BootFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BootFile").field("path", &self.path).field("bytes", &self.content.len()).finish()
    }
}

/// Where a provider gets boot files from, at create and at every start.
#[async_trait]
pub trait BootSource: Send + Sync {
    /// All files that this runtime must find now.
    async fn boot_files(&self, runtime: &RuntimeId) -> Result<Vec<BootFile>>;
}
