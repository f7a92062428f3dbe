//! The lifecycle API over HTTP: routes, authentication, errors. Handlers only translate.

mod auth;
mod disk;
mod document;
mod egress;
mod exec;
mod extract;
pub(crate) mod images;
mod operations;
mod rollouts;
mod routes;
mod snapshots;
mod strays;
mod system;
mod usage;
mod workspaces;

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use contracts::{ErrorCode, Problem, headers};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::lifecycle::Lifecycle;
use crate::pushes::Pushes;
use crate::trace;

pub use auth::Tokens;
use document::Described;
pub use extract::RequestId;

/// What handlers share.
#[derive(Clone)]
pub struct Api {
    pub lifecycle: Arc<Lifecycle>,
    pub tokens: Arc<Tokens>,
    pub pushes: Arc<Pushes>,
}

/// Those for whoever has a token.
fn protected() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(workspaces::create, workspaces::list))
        .routes(routes!(workspaces::get, workspaces::delete))
        .routes(routes!(workspaces::restore))
        .routes(routes!(workspaces::start))
        .routes(routes!(workspaces::stop))
        .routes(routes!(workspaces::suspend))
        .routes(routes!(workspaces::hibernate))
        .routes(routes!(workspaces::resume))
        .routes(routes!(workspaces::restart))
        .routes(routes!(workspaces::apply))
        .routes(routes!(workspaces::update))
        .routes(routes!(workspaces::rename))
        .routes(routes!(workspaces::wake))
        .routes(routes!(workspaces::why))
        .routes(routes!(disk::get))
        .routes(routes!(workspaces::drift))
        .routes(routes!(workspaces::preview))
        .routes(routes!(workspaces::stack))
        .routes(routes!(workspaces::repair))
        .routes(routes!(workspaces::import))
        .routes(routes!(workspaces::logs))
        .routes(routes!(egress::look))
        .routes(routes!(exec::run))
        .routes(routes!(snapshots::take, snapshots::list))
        .routes(routes!(snapshots::remove))
        .routes(routes!(snapshots::restore))
        .routes(routes!(snapshots::fork))
        .routes(routes!(operations::list))
        .routes(routes!(operations::get))
        .routes(routes!(operations::cancel))
        .routes(routes!(operations::events))
        .routes(routes!(rollouts::start, rollouts::list))
        .routes(routes!(rollouts::get))
        .routes(routes!(rollouts::cancel))
        .routes(routes!(rollouts::roll_back))
        .routes(routes!(strays::list))
        .routes(routes!(system::providers))
        .routes(routes!(system::teardown))
        .routes(routes!(images::push))
        .routes(routes!(system::resolve))
        .routes(routes!(routes::list))
        .routes(routes!(usage::list))
}

/// Those for everybody.
fn open() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(system::health))
        .routes(routes!(system::ready))
        .routes(routes!(system::error_page))
}

/// What `/openapi.json` answers: every route, and what is sent and answered there.
pub fn document() -> utoipa::openapi::OpenApi {
    document::complete(protected().merge(open()).into_openapi())
}

/// Every route in one place.
pub fn router(api: Api) -> axum::Router {
    let (protected, _) = protected().split_for_parts();
    let (open, _) = open().split_for_parts();
    let text = Bytes::from(document().to_json().unwrap_or_default());
    let document = move || async move { ([(CONTENT_TYPE, "application/json")], text.clone()) };
    axum::Router::new()
        .merge(protected.route_layer(middleware::from_fn_with_state(api.clone(), auth::require)))
        .merge(open)
        .route("/openapi.json", axum::routing::get(document))
        .fallback(|| async { Failure::from(Problem::new(ErrorCode::NotFound, "There is no such route.")) })
        .method_not_allowed_fallback(|| async {
            Failure::from(Problem::new(ErrorCode::MethodNotAllowed, "This route does not take that method."))
        })
        .layer(middleware::from_fn(observe))
        .with_state(api)
}

/// A problem as a response. The request id is filled in by [`observe`].
pub struct Failure(Problem);

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = axum::http::StatusCode::from_u16(self.0.status)
            .unwrap_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR)
            .into_response();
        response.extensions_mut().insert(Arc::new(self.0));
        response
    }
}

pub type Answer<T> = Result<T, Failure>;

/// A change runs to its answer even when the client hangs up: between the commit and the hand-over to
/// the runner there must be no point at which it can be dropped.
async fn detached<T: Send + 'static>(
    change: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(change.in_current_span()).await.unwrap_or_else(|panic| {
        tracing::error!(%panic, "a change panicked");
        Err(Problem::new(ErrorCode::Internal, "The change ended unexpectedly; the log has the reason."))
    })
}

/// Gives the request its id, writes problems with it, and logs one line for each request.
pub(crate) async fn observe(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let given = request.headers().get(headers::REQUEST_ID).and_then(|value| value.to_str().ok());
    let request_id = headers::request_id(given);
    request.extensions_mut().insert(RequestId(request_id.clone()));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let span = tracing::error_span!(target: "pilot::trace", "request", requestId = request_id);
    let traceparent = request.headers().get(trace::TRACEPARENT).and_then(|value| value.to_str().ok());
    trace::follow(&span, traceparent);
    let mut response = next.run(request).instrument(span.clone()).await;
    if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
        span.set_attribute("code", problem.code.as_str().to_owned());
        response = write_problem(&problem, &request_id);
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(headers::REQUEST_ID, value);
    }
    let status = response.status().as_u16();
    let took = started.elapsed();
    // For the trace alone: the line has them by itself, and is written once for each request.
    span.set_attribute("http.request.method", method.to_string());
    span.set_attribute("http.route", route.clone().unwrap_or_default());
    span.set_attribute("http.response.status_code", i64::from(status));
    tracing::info!(requestId = request_id, %method, path, status, ms = took.as_millis() as u64, "request");
    crate::metrics::http(route.as_deref().unwrap_or("unmatched"), method.as_str(), status, took);
    response
}

fn write_problem(problem: &Problem, request_id: &str) -> Response {
    let problem = problem.clone().with_request_id(request_id);
    let status = axum::http::StatusCode::from_u16(problem.status);
    let mut response =
        (status.unwrap_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR), axum::Json(&problem))
            .into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(headers::PROBLEM_JSON));
    if problem.status == 401 {
        response.headers_mut().insert("www-authenticate", HeaderValue::from_static("Bearer"));
    }
    if problem.retryable && (problem.retry_after.is_some() || matches!(problem.status, 429 | 503)) {
        response.headers_mut().insert("retry-after", problem.retry_after.unwrap_or(1).into());
    }
    response
}
