//! `/v1/routes`: where traffic goes, for gateways.

use std::convert::Infallible;

use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse as _, Response, Sse};
use contracts::Problem;
use contracts::workspace::{RouteEvent, RouteList};
use futures_util::Stream;
use serde::Deserialize;

use super::extract::Parameters;
use super::{Answer, Api};
use crate::lifecycle::watch::Routes;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RoutesQuery {
    /// With `watch` or `watch=true` the answer is a stream of `RouteEvent`: all routes, then each that changes.
    watch: Option<String>,
}

/// All routes, or with `watch` a stream that begins with them.
#[utoipa::path(get, path = "/v1/routes", params(RoutesQuery),
    responses((status = 200, description = "All routes, or with `watch` their stream", content(
                  (RouteList = "application/json"), (RouteEvent = "text/event-stream"))),
              (status = "default", body = Problem)))]
pub async fn list(State(api): State<Api>, Parameters(query): Parameters<RoutesQuery>) -> Answer<Response> {
    let routes = Routes::of(&api.lifecycle.store);
    match query.watch.as_deref() {
        None | Some("false") => Ok(Json(RouteList { routes: routes.all().await? }).into_response()),
        Some(_) => Ok(Sse::new(events(routes)).keep_alive(KeepAlive::default()).into_response()),
    }
}

/// Ends when the store cannot be read: whoever reads on asks again.
fn events(routes: Routes) -> impl Stream<Item = Result<Event, Infallible>> {
    futures_util::stream::unfold(routes, |mut routes| async move {
        match routes.next().await {
            Ok(event) => {
                let data = serde_json::to_string(&event).unwrap_or_default();
                Some((Ok(Event::default().data(data)), routes))
            }
            Err(problem) => {
                tracing::warn!(%problem, "routes cannot be read");
                None
            }
        }
    })
}
