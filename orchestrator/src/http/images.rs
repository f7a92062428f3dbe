//! `/v1/providers/{provider}/images`: an image for a provider.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use contracts::image::{PushEvent, Pushed};
use contracts::{ErrorCode, Problem};
use futures_util::Stream;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_LENGTH};
use provider_api::{Copied, Told};
use serde::Deserialize;
use tokio::sync::watch;

use super::extract::{Caller, NamePath, Parameters};
use super::{Answer, Api};
use crate::pushes::Pushes;

/// Between two words of how far it is.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PushQuery {
    /// What the image is to be called, with a tag: `team/app:2`, or a reference in the provider's own registry. The archive's own
    /// name when it is absent.
    name: Option<String>,
}

// Only for the document, where a `Vec<u8>` is a list of numbers.
/// The bytes of the archive.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "the body is read as it comes")]
pub struct Archive(Vec<u8>);

/// Bring an image to a provider, so that workspaces can be made from it and updated to it. The body is its archive, as `docker save` writes
/// it, or an OCI layout as tar. It is no operation: it ends with the connection, and may be repeated. With `Accept: text/event-stream` the
/// answer tells how far the push is, and its last event is `pushed` or `failed`.
#[utoipa::path(post, path = "/v1/providers/{provider}/images", params(("provider" = String, Path, description = "Its name"), PushQuery),
    request_body(content_type = "application/x-tar", content = inline(Archive)),
    responses((status = 200, description = "The image is there, or the stream of its push", content(
                  (Pushed = "application/json"), (PushEvent = "text/event-stream"))),
              (status = "default", body = Problem)))]
pub async fn push(
    State(api): State<Api>,
    NamePath(provider): NamePath,
    Parameters(query): Parameters<PushQuery>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Answer<Response> {
    if caller.0.idempotency_key.is_some() || caller.0.if_match.is_some() {
        let detail = "A push may be repeated as it is: it takes no Idempotency-Key and no If-Match.";
        return Err(Problem::new(ErrorCode::BadRequest, detail).with_action("Send it without them.").into());
    }
    answer(&api.pushes, &provider, query.name.as_deref(), &headers, body).await
}

pub(crate) async fn answer(
    pushes: &Pushes,
    provider: &str,
    name: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Answer<Response> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let wanted = pushes.wanted(provider, name)?;
    let length = header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let spooled = pushes.take(length, body).await?;
    let (tells, progress) = watch::channel(Copied { done: 0, total: 0 });
    let told = Told::to(move |copied| {
        tells.send_replace(copied);
    });
    let push = wanted.push(spooled, told);
    if header(ACCEPT).is_none_or(|accepted| !accepted.contains("text/event-stream")) {
        return Ok(Json(push.await?).into_response());
    }
    Ok(Sse::new(events(push, progress)).keep_alive(KeepAlive::default()).into_response())
}

/// The push goes on for as long as somebody reads this.
fn events(
    push: BoxFuture<'static, Result<Pushed, Problem>>,
    progress: watch::Receiver<Copied>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    futures_util::stream::unfold(Some((push, progress)), |state| async move {
        let (mut push, mut progress) = state?;
        let (event, state) = loop {
            tokio::select! {
                biased;
                ended = &mut push => {
                    let end = |problem| PushEvent::Failed { problem };
                    break (ended.map_or_else(end, PushEvent::Pushed), None);
                }
                () = tokio::time::sleep(PAUSE) => {
                    if progress.has_changed().unwrap_or_default() {
                        let Copied { done, total } = *progress.borrow_and_update();
                        break (PushEvent::Progress { done, total }, Some((push, progress)));
                    }
                }
            }
        };
        let data = serde_json::to_string(&event).unwrap_or_default();
        Some((Ok(Event::default().data(data)), state))
    })
}
