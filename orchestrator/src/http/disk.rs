//! `/v1/workspaces/{workspace}/disk`: how full the disk of a home is.

use axum::Json;
use axum::extract::State;
use contracts::Problem;
use contracts::disk::HomeDisk;

use super::extract::WorkspacePath;
use super::{Answer, Api};

/// How much is free on the disk of a workspace's home, as its instance sees it now.
#[utoipa::path(get, path = "/v1/workspaces/{workspace}/disk", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 200, body = HomeDisk), (status = "default", body = Problem)))]
pub async fn get(State(api): State<Api>, WorkspacePath(name): WorkspacePath) -> Answer<Json<HomeDisk>> {
    Ok(Json(api.lifecycle.home_disk(&name).await?))
}
