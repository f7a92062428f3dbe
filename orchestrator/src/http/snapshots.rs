//! `/v1/workspaces/{workspace}/snapshots` and `/fork`: copies of homes, and workspaces that begin with one.

use axum::Json;
use axum::extract::{Path, State};
use contracts::Problem;
use contracts::snapshot::{ForkWorkspace, SnapshotList, TakeSnapshot};
use contracts::workspace::Accepted;

use super::extract::{Body, Caller, WorkspacePath};
use super::workspaces::{AcceptedAnswer, detached};
use super::{Answer, Api};
use crate::lifecycle::request;

/// Take a snapshot of a workspace's files and sessions. What runs stands still meanwhile and goes on afterwards.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/snapshots", params(("workspace" = String, Path, description = "Its id or its slug")),
    request_body = TakeSnapshot,
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn take(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
    Body(body): Body<TakeSnapshot>,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.take_snapshot(&name, body, &caller.0).await }).await
}

/// The snapshots of a workspace, the newest first.
#[utoipa::path(get, path = "/v1/workspaces/{workspace}/snapshots", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 200, body = SnapshotList), (status = "default", body = Problem)))]
pub async fn list(State(api): State<Api>, WorkspacePath(name): WorkspacePath) -> Answer<Json<SnapshotList>> {
    Ok(Json(api.lifecycle.snapshots(&name).await?))
}

/// Remove a snapshot. The workspace and forks of the snapshot stay as they are.
#[utoipa::path(delete, path = "/v1/workspaces/{workspace}/snapshots/{snapshot}",
    params(("workspace" = String, Path, description = "Its id or its slug"), ("snapshot" = String, Path, description = "The snapshot's id")),
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn remove(
    State(api): State<Api>,
    Path((name, id)): Path<(String, String)>,
    caller: Caller,
) -> AcceptedAnswer {
    let name = request::workspace(&name)?;
    detached(async move { api.lifecycle.remove_snapshot(&name, &id, &caller.0).await }).await
}

/// Bring the files of a snapshot back. A snapshot of what is there is taken first; what ran boots anew afterwards.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/snapshots/{snapshot}/restore",
    params(("workspace" = String, Path, description = "Its id or its slug"), ("snapshot" = String, Path, description = "The snapshot's id")),
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn restore(
    State(api): State<Api>,
    Path((name, id)): Path<(String, String)>,
    caller: Caller,
) -> AcceptedAnswer {
    let name = request::workspace(&name)?;
    detached(async move { api.lifecycle.restore_snapshot(&name, &id, &caller.0).await }).await
}

/// Make a new workspace that begins with the files and sessions of this one, without its secrets. The answer is about the new one.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/fork", params(("workspace" = String, Path, description = "The original's id or slug")),
    request_body = ForkWorkspace,
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn fork(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
    Body(body): Body<ForkWorkspace>,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.fork(&name, body, &caller.0).await }).await
}
