//! Rollouts: many workspaces get another image, a few at a time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{OperationId, ProviderName, RolloutId, Slug, WorkspaceId};
use crate::problem::Problem;
use crate::workspace::Image;

/// Body of `POST /v1/rollouts`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartRollout {
    /// What all workspaces of the provider are to be made from. Default: what new ones get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Default: the installation's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// How many are moved at a time: 1 to 100. Default: 1, so that an image that does not work stops one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub at_once: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RolloutState {
    Running,
    Succeeded,
    /// One could not be moved; no others were begun after it.
    Failed,
    /// A person stopped it.
    Canceled,
}

impl RolloutState {
    /// As JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            RolloutState::Running => "running",
            RolloutState::Succeeded => "succeeded",
            RolloutState::Failed => "failed",
            RolloutState::Canceled => "canceled",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    pub id: RolloutId,
    pub provider: ProviderName,
    pub state: RolloutState,
    /// Absent in one that takes another back: then each workspace gets what it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// The one that is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolls_back: Option<RolloutId>,
    pub at_once: u32,
    pub counts: Counts,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// In the order in which they are moved. Absent in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
}

/// How many workspaces are how far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    pub waiting: u32,
    pub running: u32,
    pub updated: u32,
    pub failed: u32,
    pub skipped: u32,
}

/// One workspace of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    pub workspace_id: WorkspaceId,
    pub slug: Slug,
    pub state: MemberState,
    /// Why it was left as it is; of one that was skipped, and by a Pilot that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<SkipReason>,
    /// What it was made from, where that is known: when its turn came, or the rollout began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Image>,
    /// What it is to be made from, or was to be, if it was skipped.
    pub target: Image,
    /// Its update, once it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    Waiting,
    Running,
    Updated,
    Failed,
    /// It was left as it is; the reason says why.
    Skipped,
}

/// Why a workspace of a rollout was left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SkipReason {
    /// It had the image already.
    Had,
    /// Somebody has given it another since the rollout that is taken back.
    Changed,
    /// It was deleted; its home may be kept.
    Deleted,
    /// Nothing of it is there any more.
    Gone,
    /// Its home is gone, and another image begins none anew.
    #[serde(rename = "home_gone")]
    HomeGone,
    /// The rollout ended before its turn.
    Ended,
}

impl SkipReason {
    /// As JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            SkipReason::Had => "had",
            SkipReason::Changed => "changed",
            SkipReason::Deleted => "deleted",
            SkipReason::Gone => "gone",
            SkipReason::HomeGone => "home_gone",
            SkipReason::Ended => "ended",
        }
    }
}

impl MemberState {
    /// As JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            MemberState::Waiting => "waiting",
            MemberState::Running => "running",
            MemberState::Updated => "updated",
            MemberState::Failed => "failed",
            MemberState::Skipped => "skipped",
        }
    }
}

/// Rollouts, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutList {
    pub rollouts: Vec<Rollout>,
}
