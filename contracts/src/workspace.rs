//! The lifecycle API's workspace types. Desired and observed state are different types on purpose.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::egress::EgressAllow;
pub use crate::endpoint::Endpoint;
use crate::ids::{OperationId, ProviderName, RuntimeId, Slug, WorkspaceId};
use crate::operation::Operation;
use crate::problem::Problem;
use crate::updates::Updates;

/// Body of `POST /v1/workspaces`. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateWorkspace {
    /// A DNS label: 1 to 40 of a-z, 0-9 and '-', beginning with a letter.
    #[schema(pattern = "^[a-z](-?[a-z0-9])*$", min_length = 1, max_length = 40)]
    pub slug: String,
    /// A provider module, as `GET /v1/providers` lists them. Default: the installation's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// One of the provider's sizes. Default: the provider's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// One of the provider's regions. Default: the provider's first; a provider without regions takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// A repository to clone into the workspace at first boot.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object")]
    pub git: Option<GitSource>,
    /// What it reaches, and nothing else: names, `*.NAME` for all below one, addresses and networks, each with `:PORT` or for every
    /// port. `[]` is nothing, `["all"]` everything that the provider lets workspaces reach. Default: the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress_allow: Option<Vec<String>>,
    /// Whose it is: 1 to 128 printable characters without spaces. Of several owners, each has its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The client's own words, to find it by: at most 16, names of 1 to 63 of a-z, A-Z, 0-9, '.', '_', '/' and '-', values of
    /// at most 128 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// No list, which would be taken for the fields in the order of their declaration.
fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    let fields: Option<serde_json::Map<String, serde_json::Value>> = Option::deserialize(from)?;
    fields
        .map(|fields| T::deserialize(serde_json::Value::Object(fields)))
        .transpose()
        .map_err(D::Error::custom)
}

/// Body of `POST /v1/workspaces/{workspace}/rename`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenameWorkspace {
    /// As that of a create.
    #[schema(pattern = "^[a-z](-?[a-z0-9])*$", min_length = 1, max_length = 40)]
    pub slug: String,
}

/// Body of `POST /v1/workspaces/{workspace}/restore`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreWorkspace {
    /// The name that it gets. Default: that which it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
}

/// Body of `POST /v1/workspaces/{workspace}/update`: at least one of these. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateWorkspace {
    /// What the instance is made from, as its provider names images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// One of the provider's sizes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// The whole list, as that of a create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress_allow: Option<Vec<String>>,
}

/// What an instance is made from. It stays the same when the reference means something else later.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// As somebody has named it, such as `pilot-instance:0.1.0`.
    pub reference: String,
    /// What the reference meant when it was looked up, in its provider's own form; absent where the provider cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What it is built for, as OCI names it, such as `amd64`; absent where the provider cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
}

impl Image {
    /// Known by its name alone.
    pub fn named(reference: impl Into<String>) -> Self {
        Self { reference: reference.into(), digest: None, architecture: None }
    }

    /// What the provider is given.
    pub fn exact(&self) -> &str {
        self.digest.as_deref().unwrap_or(&self.reference)
    }
}

/// A git repository. Credentials in the URL are refused: they would end in plain state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSource {
    /// `https://`, `http://`, `ssh://`, `git://` or `file://`.
    pub url: String,
    /// A branch or tag. Default: the repository's default branch.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Desired {
    Running,
    Stopped,
    Suspended,
    Deleted,
}

/// What Pilot last saw. `Unknown` is its own state: a call timed out and the truth is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Observed {
    Absent,
    Provisioning,
    Booting,
    Ready,
    Degraded,
    Stopping,
    Stopped,
    Suspended,
    Deleting,
    Unknown,
    Failed,
}

impl Observed {
    /// As JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Observed::Absent => "absent",
            Observed::Provisioning => "provisioning",
            Observed::Booting => "booting",
            Observed::Ready => "ready",
            Observed::Degraded => "degraded",
            Observed::Stopping => "stopping",
            Observed::Stopped => "stopped",
            Observed::Suspended => "suspended",
            Observed::Deleting => "deleting",
            Observed::Unknown => "unknown",
            Observed::Failed => "failed",
        }
    }

    pub const ALL: [Observed; 11] = [
        Observed::Absent,
        Observed::Provisioning,
        Observed::Booting,
        Observed::Ready,
        Observed::Degraded,
        Observed::Stopping,
        Observed::Stopped,
        Observed::Suspended,
        Observed::Deleting,
        Observed::Unknown,
        Observed::Failed,
    ];
}

/// A workspace as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workspace {
    /// For ever its own: a later workspace of this name has another.
    pub id: WorkspaceId,
    pub slug: Slug,
    pub runtime_id: RuntimeId,
    pub provider: ProviderName,
    pub size: String,
    /// Absent when the provider has no regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Absent where instances have no image of their own, and until it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitSource>,
    /// The destinations that it reaches, and nothing else. Absent where it has no list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub egress_allow: Option<EgressAllow>,
    /// Absent when nobody was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    pub desired: Desired,
    pub state: Observed,
    /// When `state` last changed.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Where a browser opens the workspace, once there is a gateway for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Why the last operation failed or the instance is degraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
    /// The operation under way, or the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Of one that is deleted: until when its home is kept and it can be restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub home_until: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceList {
    pub workspaces: Vec<Workspace>,
    /// Where the next page begins: its `cursor`. Absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The 202 answer to a change: the workspace as it is now, and the operation to watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    pub workspace: Workspace,
    pub operation: Operation,
}

/// Where the gateway sends a workspace's traffic: `GET /v1/resolve/{slug}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    pub slug: Slug,
    pub runtime_id: RuntimeId,
    pub state: Observed,
    /// Present when traffic can be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
}

impl Route {
    /// Who was told an endpoint may send requests there for so long without asking again.
    pub const FRESH: Duration = Duration::from_secs(1);
}

/// The answer to a wake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Woken {
    pub route: Route,
    /// What makes it ready; absent when nothing is on its way, as for one that is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// One event of `GET /v1/routes?watch`: all routes first, then each that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum RouteEvent {
    /// Whatever was known before is to be forgotten. Comes first, and again after a gap.
    Snapshot { routes: Vec<Route> },
    /// A route is new or another.
    Changed { route: Route },
    /// There is no such workspace any more.
    Gone { slug: Slug },
}

/// The routes at one moment: `GET /v1/routes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteList {
    pub routes: Vec<Route>,
}

/// A provider module as `GET /v1/providers` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderInfo {
    pub name: ProviderName,
    pub summary: String,
    /// One plain line on what separates an instance from others and from the host.
    pub isolation: String,
    /// The first is the default; empty when there is one place only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
    /// The first is the default.
    pub sizes: Vec<Size>,
    /// What new workspaces are made from; absent where it is not set, and where workspaces have no images of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    pub capabilities: ProviderCapabilities,
    /// What an update does to an instance; absent where an older server does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updates: Option<Updates>,
    pub default: bool,
}

/// A place where a provider can run instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Region {
    /// As the provider's own API calls it.
    pub name: String,
    /// For people.
    pub title: String,
}

/// What can be done with a provider's instances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderCapabilities {
    /// Suspend keeps the memory of a runtime, and resume goes on where it was.
    pub suspend: bool,
    /// The home outlives a stop. Without it a stop loses all files that were not pushed elsewhere.
    pub persistent_home: bool,
    /// Hibernate gives memory and processors back and keeps the disk, and a visit boots it.
    #[serde(default)]
    pub hibernate: bool,
    pub logs: bool,
    pub exec: bool,
    /// Copies of the home can be taken and listed.
    pub snapshot: bool,
    /// The files of a snapshot can be brought back.
    #[serde(default)]
    pub rewind: bool,
    /// A new workspace can begin with a snapshot.
    #[serde(default)]
    pub fork: bool,
    /// Each workspace has an image of its own, which an update can change.
    #[serde(default)]
    pub image: bool,
    /// A workspace can have a list of the destinations that it reaches.
    #[serde(default)]
    pub egress: bool,
    /// An image can be brought there from an archive (`pilot image push`).
    #[serde(default)]
    pub push: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Size {
    pub name: String,
    /// Memory limit in MiB; absent when the provider sets none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    /// CPU limit in thousandths of a core; absent when the provider sets none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u32>,
    /// What the disk of the home holds, in MiB; absent where nothing limits it but the disk that it lies on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_mib: Option<u32>,
    /// What the provider charges for an hour of running, in millionths of a US dollar, as it was when
    /// this version of the module was made; absent when there is no price for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hourly_micro_usd: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_was_stored_before_architectures_is_read() {
        let stored = r#"{"reference":"pilot-instance:0.1.0","digest":"sha256:1b18"}"#;
        let image: Image = serde_json::from_str(stored).unwrap();
        assert_eq!((image.exact(), &image.architecture), ("sha256:1b18", &None));
        assert_eq!(serde_json::to_string(&image).unwrap(), stored);
    }
}
