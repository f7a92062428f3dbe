//! `/v1/strays`: what is outside and of no workspace that is known.

use axum::Json;
use axum::extract::State;
use contracts::Problem;
use contracts::stray::StrayList;

use super::{Answer, Api};

/// What the last sweep has found outside with this installation's labels, and of no workspace that is known.
#[utoipa::path(get, path = "/v1/strays", responses((status = 200, body = StrayList), (status = "default", body = Problem)))]
pub async fn list(State(api): State<Api>) -> Answer<Json<StrayList>> {
    Ok(Json(api.lifecycle.strays().await?))
}
