//! `/v1/workspaces/{workspace}/exec`: a command in an instance.

use axum::Json;
use axum::extract::State;
use contracts::Problem;
use contracts::exec::{Exec, Executed};

use super::extract::{Body, Caller, WorkspacePath};
use super::{Answer, Api};

/// Run a command in the workspace's instance and wait for its end, through the provider: also when nothing in the instance
/// answers. It is not idempotent. After an error that says that it may have run, look before you repeat it.
#[utoipa::path(post, path = "/v1/workspaces/{workspace}/exec", params(("workspace" = String, Path, description = "Its id or its slug")),
    request_body = Exec,
    responses((status = 200, body = Executed), (status = "default", body = Problem)))]
pub async fn run(
    State(api): State<Api>,
    WorkspacePath(name): WorkspacePath,
    caller: Caller,
    Body(body): Body<Exec>,
) -> Answer<Json<Executed>> {
    Ok(Json(api.lifecycle.exec(&name, body, &caller.0).await?))
}
