//! `/v1/workspaces/{workspace}/egress`: what became of a list of destinations.

use axum::Json;
use axum::extract::State;
use contracts::Problem;
use contracts::egress::report::EgressReport;

use super::extract::WorkspacePath;
use super::{Answer, Api};

/// What the workspace reaches, whether its list of destinations is in force where it runs, and what was refused within the last hour.
#[utoipa::path(get, path = "/v1/workspaces/{workspace}/egress", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 200, body = EgressReport), (status = "default", body = Problem)))]
pub async fn look(State(api): State<Api>, WorkspacePath(name): WorkspacePath) -> Answer<Json<EgressReport>> {
    Ok(Json(api.lifecycle.egress(&name).await?))
}
