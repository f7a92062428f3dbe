//! `/v1/operations`: how a change is going.

use std::convert::Infallible;

use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use contracts::operation::{Operation, OperationEvent, OperationKind, OperationList, OperationState};
use contracts::{ErrorCode, Problem};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::extract::{OperationPath, Parameters, within};
use super::{Answer, Api, detached};
use crate::lifecycle::request;
use crate::store::Query;

/// How many a page has when nobody says, and at most.
const PAGE: [u64; 2] = [50, 500];

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only those of a workspace, by its id or its slug.
    workspace: Option<String>,
    /// Only those in this state.
    state: Option<OperationState>,
    /// Only those of this kind.
    kind: Option<OperationKind>,
    /// How many at most; 50 by default.
    #[param(value_type = u64, required = false, minimum = 1, maximum = 500)]
    limit: Option<u64>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// Operations, the newest first.
#[utoipa::path(get, path = "/v1/operations", params(ListQuery),
    responses((status = 200, body = OperationList), (status = "default", body = Problem)))]
pub async fn list(
    State(api): State<Api>,
    Parameters(query): Parameters<ListQuery>,
) -> Answer<Json<OperationList>> {
    let [usual, most] = PAGE;
    let limit = within("limit", query.limit, usual, 1..=most)? as u32;
    let workspace = match &query.workspace {
        Some(name) => Some(api.lifecycle.id_of(&request::workspace(name)?).await?),
        None => None,
    };
    let before = query.cursor.as_deref().map(str::parse).transpose().map_err(|_| {
        Problem::new(ErrorCode::BadRequest, "The cursor is not one that a list has given as `next`.")
    })?;
    let (state, kind) = (query.state, query.kind);
    let wanted = Query { workspace, state, kind, owner: None, before, most: limit };
    Ok(Json(api.lifecycle.operations(&wanted).await?))
}

/// Ask an operation to end, in whatever phase it is; what was desired before it is desired again. One that has ended stays as
/// it is. `GET` shows when it has ended.
#[utoipa::path(post, path = "/v1/operations/{id}/cancel", params(("id" = String, Path)),
    responses((status = 202, body = Operation), (status = "default", body = Problem)))]
pub async fn cancel(
    State(api): State<Api>,
    OperationPath(id): OperationPath,
) -> Answer<(StatusCode, Json<Operation>)> {
    let operation = detached(async move { api.lifecycle.cancel(&id).await }).await?;
    Ok((StatusCode::ACCEPTED, Json(operation)))
}

/// One operation.
#[utoipa::path(get, path = "/v1/operations/{id}", params(("id" = String, Path)),
    responses((status = 200, body = Operation), (status = "default", body = Problem)))]
pub async fn get(State(api): State<Api>, OperationPath(id): OperationPath) -> Answer<Json<Operation>> {
    Ok(Json(api.lifecycle.operation(&id).await?))
}

/// The operation's events as they happen (`text/event-stream`). Begins with the first, or after
/// `Last-Event-ID`; ends after the `done` event. There is no content behind that, so that who connects again stops.
#[utoipa::path(get, path = "/v1/operations/{id}/events", params(("id" = String, Path)),
    responses((status = 200, content_type = "text/event-stream", body = OperationEvent),
              (status = 204, description = "`Last-Event-ID` was that of the last event of an operation that has ended"),
              (status = "default", body = Problem)))]
pub async fn events(
    State(api): State<Api>,
    OperationPath(id): OperationPath,
    headers: HeaderMap,
) -> Answer<Response> {
    let operation = api.lifecycle.operation(&id).await?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let after = last.and_then(|text| text.parse().ok()).unwrap_or(0);
    let stream = api.lifecycle.runner.feed().subscribe(&operation.id, after).await.map_err(Problem::from)?;
    let Some(stream) = stream else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let events = futures_util::stream::unfold(stream, |mut stream| async move {
        let event = stream.next().await?;
        let data = serde_json::to_string(&event).unwrap_or_default();
        let event = Event::default().id(event.sequence.to_string()).data(data);
        Some((Ok::<_, Infallible>(event), stream))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}
