//! Images that are brought to a provider: `POST /v1/providers/{provider}/images`.
//!
//! The body is the archive. The answer is what has become of it; who accepts `text/event-stream` is told before how far it is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::ProviderName;
use crate::problem::Problem;
use crate::workspace::Image;

/// An image that is at its provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pushed {
    pub provider: ProviderName,
    /// As the provider calls it, and which one exactly it is.
    pub image: Image,
    /// What an update and a rollout are given to mean exactly this one.
    pub exact: String,
    /// The variable of the server that makes new workspaces from it.
    pub setting: String,
}

/// How far a push is. The last is `pushed` or `failed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum PushEvent {
    /// Of the archive, after it has all arrived at the server.
    Progress {
        /// So many bytes are where they belong.
        done: u64,
        /// Of so many.
        total: u64,
    },
    Pushed(Pushed),
    Failed {
        problem: Problem,
    },
}
