//! `/v1/operations`: how a change is going.

use std::convert::Infallible;

use axum::Json;
use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use contracts::Problem;
use contracts::operation::{Operation, OperationEvent};
use futures_util::Stream;
use http::HeaderMap;

use super::extract::OperationPath;
use super::{Answer, Api};

/// One operation.
#[utoipa::path(get, path = "/v1/operations/{id}", params(("id" = String, Path)),
    responses((status = 200, body = Operation), (status = "default", body = Problem)))]
pub async fn get(State(api): State<Api>, OperationPath(id): OperationPath) -> Answer<Json<Operation>> {
    Ok(Json(api.lifecycle.operation(&id).await?))
}

/// The operation's events as they happen (`text/event-stream`). Begins with the first, or after
/// `Last-Event-ID`; ends after the `done` event.
#[utoipa::path(get, path = "/v1/operations/{id}/events", params(("id" = String, Path)),
    responses((status = 200, content_type = "text/event-stream", body = OperationEvent),
              (status = "default", body = Problem)))]
pub async fn events(
    State(api): State<Api>,
    OperationPath(id): OperationPath,
    headers: HeaderMap,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let operation = api.lifecycle.operation(&id).await?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let after = last.and_then(|text| text.parse().ok()).unwrap_or(0);
    let stream = api.lifecycle.runner.feed().subscribe(&operation.id, after).await.map_err(Problem::from)?;
    let events = futures_util::stream::unfold(stream, |mut stream| async move {
        let event = stream.next().await?;
        let data = serde_json::to_string(&event).unwrap_or_default();
        Some((Ok(Event::default().id(event.sequence.to_string()).data(data)), stream))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}
