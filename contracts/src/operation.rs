//! Operations: every accepted change, its phases and its event stream.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::egress::{EgressAllow, EgressChoice};
use crate::ids::{OperationId, ProviderName, RuntimeId, Slug, WorkspaceId};
use crate::problem::Problem;
use crate::snapshot::SnapshotWork;
use crate::workspace::Image;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OperationKind {
    Create,
    Start,
    Stop,
    /// Keeps memory; for providers that can.
    Suspend,
    /// Ends it and keeps its disk, until somebody wants to use it; for providers with a home that outlives a stop.
    Hibernate,
    Resume,
    /// Stop and start: the instance boots anew.
    Restart,
    /// Makes what exists outside as the stack says: repairs drift.
    Apply,
    /// Another image or another size. The home stays, and what is stopped stays stopped.
    Update,
    /// Ends it. Its home is kept for a while, and with it what a restore needs.
    Delete,
    /// Removes all that is left of it, its home first of all.
    Purge,
    /// Brings back one that was deleted, while its home is kept.
    Restore,
    /// Releases a workspace whose provider is gone for good; what exists outside stays there.
    Forget,
    /// Removes what all workspaces of a provider share. About no workspace.
    Teardown,
    /// Takes a snapshot of its home.
    Snapshot,
    /// Brings the files of a snapshot back, after it has taken one of what is there.
    Rewind,
    /// Removes a snapshot.
    Discard,
}

impl OperationKind {
    /// As JSON has it, and as people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            OperationKind::Create => "create",
            OperationKind::Start => "start",
            OperationKind::Stop => "stop",
            OperationKind::Suspend => "suspend",
            OperationKind::Hibernate => "hibernate",
            OperationKind::Resume => "resume",
            OperationKind::Restart => "restart",
            OperationKind::Apply => "apply",
            OperationKind::Update => "update",
            OperationKind::Delete => "delete",
            OperationKind::Purge => "purge",
            OperationKind::Restore => "restore",
            OperationKind::Forget => "forget",
            OperationKind::Teardown => "teardown",
            OperationKind::Snapshot => "snapshot",
            OperationKind::Rewind => "rewind",
            OperationKind::Discard => "discard",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OperationState {
    Queued,
    Running,
    Succeeded,
    Failed,
    /// A delete or a person ended it before its time.
    Canceled,
}

impl OperationState {
    pub const ALL: [OperationState; 5] = [
        OperationState::Queued,
        OperationState::Running,
        OperationState::Succeeded,
        OperationState::Failed,
        OperationState::Canceled,
    ];

    /// As JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            OperationState::Queued => "queued",
            OperationState::Running => "running",
            OperationState::Succeeded => "succeeded",
            OperationState::Failed => "failed",
            OperationState::Canceled => "canceled",
        }
    }

    pub fn is_final(self) -> bool {
        match self {
            OperationState::Queued | OperationState::Running => false,
            OperationState::Succeeded | OperationState::Failed | OperationState::Canceled => true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    pub id: OperationId,
    pub kind: OperationKind,
    /// Which workspace, for ever; absent for a teardown, as its slug is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<WorkspaceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<Slug>,
    /// What it works on outside; of a teardown `rt-shared-` and the provider's name.
    pub runtime_id: RuntimeId,
    /// Where that is; absent for operations of early versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderName>,
    pub state: OperationState,
    pub phases: Phases,
    /// What an update is to change; absent for all other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Update>,
    /// Which snapshot it works on; of a create, what a fork begins with. Absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotWork>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
    /// The request that asked for it, to find it in the logs.
    pub request_id: String,
}

impl Operation {
    /// One that was accepted now and waits for its turn. About no workspace, until its caller says about which.
    pub fn queued(
        id: OperationId,
        kind: OperationKind,
        runtime_id: RuntimeId,
        provider: ProviderName,
        request_id: impl Into<String>,
    ) -> Self {
        let mut phases = Phases::default();
        phases.reach(Phase::Queued, Timestamp::now());
        Self {
            id,
            kind,
            workspace_id: None,
            slug: None,
            runtime_id,
            provider: Some(provider),
            state: OperationState::Queued,
            phases,
            update: None,
            snapshot: None,
            error: None,
            request_id: request_id.into(),
        }
    }

    /// What it is about, for people: a workspace, or what those of a provider share.
    pub fn subject(&self) -> String {
        match (&self.slug, &self.provider) {
            (Some(slug), _) => slug.to_string(),
            (None, Some(provider)) => format!("what workspaces on {provider} share"),
            (None, None) => self.runtime_id.to_string(),
        }
    }
}

/// What an operation makes of its runtime. What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// The whole list of destinations; `["all"]` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub egress: Option<EgressChoice>,
    /// What it was made from before, once the change has begun; where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Image>,
    /// The list of destinations that it had before, once the change has begun; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub egress_before: Option<EgressAllow>,
}

/// Some of the operations, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationList {
    pub operations: Vec<Operation>,
    /// Where the next page begins: its `cursor`. Absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// When each phase was reached. A phase that does not apply to the kind stays absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Phases {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub queued: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub planned: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub applied: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub booted: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ready: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished: Option<Timestamp>,
}

/// The phases of an operation, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Accepted and durable.
    Queued,
    /// The stack is compiled.
    Planned,
    /// Pulumi has applied it.
    Applied,
    /// The instance's backend answers.
    Booted,
    /// OpenCode answers through the same path that users take.
    Ready,
}

impl Phase {
    pub const ALL: [Phase; 5] = [Phase::Queued, Phase::Planned, Phase::Applied, Phase::Booted, Phase::Ready];

    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Queued => "queued",
            Phase::Planned => "planned",
            Phase::Applied => "applied",
            Phase::Booted => "booted",
            Phase::Ready => "ready",
        }
    }
}

impl Phases {
    pub fn get(&self, phase: Phase) -> Option<Timestamp> {
        match phase {
            Phase::Queued => self.queued,
            Phase::Planned => self.planned,
            Phase::Applied => self.applied,
            Phase::Booted => self.booted,
            Phase::Ready => self.ready,
        }
    }

    /// The last phase that was reached.
    pub fn last(&self) -> Option<Phase> {
        let phases = [Phase::Ready, Phase::Booted, Phase::Applied, Phase::Planned, Phase::Queued];
        phases.into_iter().find(|phase| self.get(*phase).is_some())
    }

    /// Records the first time a phase is reached; a repeat after a restart keeps the first.
    pub fn reach(&mut self, phase: Phase, at: Timestamp) {
        let slot = match phase {
            Phase::Queued => &mut self.queued,
            Phase::Planned => &mut self.planned,
            Phase::Applied => &mut self.applied,
            Phase::Booted => &mut self.booted,
            Phase::Ready => &mut self.ready,
        };
        slot.get_or_insert(at);
    }
}

/// One line of `GET /v1/operations/{id}/events`. `sequence` counts from 1 in each operation; a client
/// that reconnects sends the last one it saw as `Last-Event-ID`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationEvent {
    pub sequence: u64,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    #[serde(flatten)]
    pub body: OperationEventBody,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum OperationEventBody {
    /// A phase was reached.
    Phase { phase: Phase },
    /// The engine began (`done: false`) or finished a step on one resource.
    Resource { op: String, name: String, resource_type: String, done: bool },
    /// Something a person may want to read.
    Message { severity: Severity, text: String },
    /// The operation ended; always the last event.
    Done {
        state: OperationState,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Problem>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Error,
}
