//! `/v1/workspaces`: what a workspace is and how it changes.

use axum::Json;
use axum::extract::State;
use contracts::Problem;
use contracts::plan::Plan;
use contracts::workspace::{
    Accepted, CreateWorkspace, LogTail, RepairStack, StackExport, StackRepair, Workspace, WorkspaceList,
};
use http::StatusCode;
use serde::Deserialize;

use super::extract::{Body, Caller, Parameters, WorkspacePath};
use super::{Answer, Api};

const DEFAULT_LOG_BYTES: usize = 16 * 1024;
const MAX_LOG_BYTES: usize = 1024 * 1024;

type AcceptedAnswer = Answer<(StatusCode, Json<Accepted>)>;

/// A change that was accepted.
async fn detached<F>(change: F) -> AcceptedAnswer
where
    F: Future<Output = Result<Accepted, Problem>> + Send + 'static,
{
    Ok((StatusCode::ACCEPTED, Json(super::detached(change).await?)))
}

/// Create a workspace. The same `Idempotency-Key` with the same body answers with the same operation.
#[utoipa::path(post, path = "/v1/workspaces", request_body = CreateWorkspace,
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(body): Body<CreateWorkspace>,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.create(body, &caller.0).await }).await
}

/// List all workspaces.
#[utoipa::path(get, path = "/v1/workspaces", responses((status = 200, body = WorkspaceList), (status = "default", body = Problem)))]
pub async fn list(State(api): State<Api>) -> Answer<Json<WorkspaceList>> {
    Ok(Json(WorkspaceList { workspaces: api.lifecycle.list().await? }))
}

/// One workspace.
#[utoipa::path(get, path = "/v1/workspaces/{workspace}", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 200, body = Workspace), (status = "default", body = Problem)))]
pub async fn get(State(api): State<Api>, WorkspacePath(name): WorkspacePath) -> Answer<Json<Workspace>> {
    Ok(Json(api.lifecycle.get(&name).await?))
}

/// Delete a workspace and all its data. Cancels what runs for it.
#[utoipa::path(delete, path = "/v1/workspaces/{workspace}", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn delete(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.delete(&name, &caller.0).await }).await
}

/// Start a stopped workspace. Starting one that runs is a success.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/start", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn start(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.start(&name, &caller.0).await }).await
}

/// Stop a workspace; its data stays.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/stop", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn stop(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.stop(&name, &caller.0).await }).await
}

/// Suspend a workspace: its memory stays, its processors are free. For providers that can.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/suspend", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn suspend(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.suspend(&name, &caller.0).await }).await
}

/// Resume a suspended workspace. One that is stopped is started.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/resume", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 202, body = Accepted), (status = "default", body = Problem)))]
pub async fn resume(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
) -> AcceptedAnswer {
    detached(async move { api.lifecycle.resume(&name, &caller.0).await }).await
}

/// What applying the workspace's stack again would change: its drift. Changes nothing.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/preview", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 200, body = Plan), (status = "default", body = Problem)))]
pub async fn drift(State(api): State<Api>, WorkspacePath(name): WorkspacePath) -> Answer<Json<Plan>> {
    Ok(Json(api.lifecycle.drift(&name).await?))
}

/// What a create would do. Changes nothing.
#[utoipa::path(post, path = "/v1/preview", request_body = CreateWorkspace,
    responses((status = 200, body = Plan), (status = "default", body = Problem)))]
pub async fn preview(State(api): State<Api>, Body(body): Body<CreateWorkspace>) -> Answer<Json<Plan>> {
    Ok(Json(api.lifecycle.preview(body).await?))
}

/// The workspace's stack as a Pulumi YAML project.
#[utoipa::path(get, path = "/v1/workspaces/{workspace}/stack", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 200, body = StackExport), (status = "default", body = Problem)))]
pub async fn stack(State(api): State<Api>, WorkspacePath(name): WorkspacePath) -> Answer<Json<StackExport>> {
    Ok(Json(api.lifecycle.export(&name).await?))
}

/// Which good copy of a damaged state of the workspace's stack there is; with `apply`, it takes the state's place, and the
/// damaged file is kept.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/stack/repair", params(("workspace" = String, Path, description = "Its id or its slug")),
    request_body = RepairStack,
    responses((status = 200, body = StackRepair), (status = "default", body = Problem)))]
pub async fn repair(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    Body(body): Body<RepairStack>,
) -> Answer<Json<StackRepair>> {
    Ok(Json(api.lifecycle.repair(&name, body.apply).await?))
}

#[derive(Deserialize, utoipa::IntoParams)]
pub struct LogQuery {
    /// How much of the log's end to return; 16 KiB by default, 1 MiB at most.
    bytes: Option<usize>,
}

/// The end of the instance's log.
#[utoipa::path(get, path = "/v1/workspaces/{workspace}/logs", params(("workspace" = String, Path, description = "Its id or its slug"), LogQuery),
    responses((status = 200, body = LogTail), (status = "default", body = Problem)))]
pub async fn logs(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    Parameters(query): Parameters<LogQuery>,
) -> Answer<Json<LogTail>> {
    let bytes = query.bytes.unwrap_or(DEFAULT_LOG_BYTES).min(MAX_LOG_BYTES);
    Ok(Json(api.lifecycle.logs(&name, bytes).await?))
}
