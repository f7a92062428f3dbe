//! The module itself: what it offers and what one runtime needs.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::workspace::{GitSource, Size};
use contracts::{InstallationId, ProviderName, RuntimeId};

use crate::declare::Declared;
use crate::error::Result;
use crate::lifecycle::{Inventory, Lifecycle, Logs};
use crate::resource::Resource;

/// What users and operators read before they choose.
#[derive(Debug, Clone)]
pub struct Description {
    pub name: ProviderName,
    pub summary: &'static str,
    /// One plain line: what separates an instance from others and from the host.
    pub isolation: &'static str,
    /// True when instances of this provider are not separated from the account that runs Pilot.
    pub unisolated: bool,
    /// The first is the default.
    pub sizes: Vec<Size>,
}

/// One runtime to declare resources for. Holds no credential and no slug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeSpec {
    pub runtime_id: RuntimeId,
    pub installation: InstallationId,
    /// Rises with every change of the spec; a label on every external object.
    pub generation: u64,
    /// One of [`Description::sizes`].
    pub size: String,
    pub git: Option<GitSource>,
}

/// A provider module. At most six required methods; abilities that not every cloud has are optional.
#[async_trait]
pub trait Provider: Send + Sync {
    fn describe(&self) -> Description;

    /// The resources of one runtime. Pure: no I/O, no clock, no randomness, so that a plan can be made
    /// anywhere and is the same every time.
    fn declare(&self, runtime: &RuntimeSpec) -> Result<Declared>;

    /// Every resource type that `declare` may name.
    fn resources(&self) -> Vec<Arc<dyn Resource>>;

    /// Start, stop and status of what `declare` made.
    fn lifecycle(&self) -> Arc<dyn Lifecycle>;

    /// Whether a create could work now: tools present, host reachable, credentials accepted. Called
    /// before a request is accepted and by `pilot doctor`; at most a second or two.
    async fn ready(&self) -> Result<()>;

    fn logs(&self) -> Option<Arc<dyn Logs>> {
        None
    }

    fn inventory(&self) -> Option<Arc<dyn Inventory>> {
        None
    }
}

/// A file that an instance must find when it boots. It never passes through Pulumi, so it may hold
/// secrets. The path is relative to the instance user's home; the file is readable by that user only.
#[derive(Clone, PartialEq, Eq)]
pub struct BootFile {
    pub path: String,
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
    async fn boot_files(&self, runtime: &RuntimeId) -> Result<Vec<BootFile>>;
}
