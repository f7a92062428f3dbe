//! `/v1/rollouts`: many workspaces get another image, a few at a time.

use axum::Json;
use axum::extract::State;
use contracts::Problem;
use contracts::rollout::{Rollout, RolloutList, StartRollout};
use http::header::LOCATION;
use http::{HeaderName, StatusCode};

use super::extract::{Body, Caller, RolloutPath};
use super::{Answer, Api, detached};

/// With the rollout's address in `Location`.
type AcceptedAnswer = Answer<(StatusCode, [(HeaderName, String); 1], Json<Rollout>)>;

fn accepted(rollout: Rollout) -> AcceptedAnswer {
    let location = format!("/v1/rollouts/{}", rollout.id);
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], Json(rollout)))
}

/// Move all workspaces of a provider to an image, a few at a time. It stops at the first that cannot be moved. What is
/// stopped stays stopped.
#[utoipa::path(post, path = "/v1/rollouts", request_body = StartRollout,
    responses((status = 202, body = Rollout), (status = "default", body = Problem)))]
pub async fn start(State(api): State<Api>, caller: Caller, Body(body): Body<StartRollout>) -> AcceptedAnswer {
    accepted(detached(async move { api.lifecycle.start_rollout(body, &caller.0).await }).await?)
}

/// Rollouts, the newest first, without their members.
#[utoipa::path(get, path = "/v1/rollouts",
    responses((status = 200, body = RolloutList), (status = "default", body = Problem)))]
pub async fn list(State(api): State<Api>) -> Answer<Json<RolloutList>> {
    Ok(Json(api.lifecycle.rollouts().await?))
}

/// One rollout with its members.
#[utoipa::path(get, path = "/v1/rollouts/{id}", params(("id" = String, Path)),
    responses((status = 200, body = Rollout), (status = "default", body = Problem)))]
pub async fn get(State(api): State<Api>, RolloutPath(id): RolloutPath) -> Answer<Json<Rollout>> {
    Ok(Json(api.lifecycle.rollout(&id).await?))
}

/// Begin no more of a rollout. What is under way comes to its end; one that has ended stays as it is.
#[utoipa::path(post, path = "/v1/rollouts/{id}/cancel", params(("id" = String, Path)),
    responses((status = 202, body = Rollout), (status = "default", body = Problem)))]
pub async fn cancel(State(api): State<Api>, RolloutPath(id): RolloutPath) -> AcceptedAnswer {
    accepted(detached(async move { api.lifecycle.stop_rollout(&id).await }).await?)
}

/// Give all that a rollout has moved what they had before, the last first: another rollout.
#[utoipa::path(post, path = "/v1/rollouts/{id}/rollback", params(("id" = String, Path)),
    responses((status = 202, body = Rollout), (status = "default", body = Problem)))]
pub async fn roll_back(
    State(api): State<Api>,
    caller: Caller,
    RolloutPath(id): RolloutPath,
) -> AcceptedAnswer {
    accepted(detached(async move { api.lifecycle.roll_back(&id, &caller.0).await }).await?)
}
