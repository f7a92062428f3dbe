//! The HTTP routes of an instance, over any [`RuntimeAdapter`].
//!
//! `GET /health` is open, so that a provider can ask without a key; everything else needs the
//! gateway's assertion, whose `surface` decides between the API (`/api/*`) and OpenCode's own web UI
//! (everything, verbatim). Every error is a problem document; nothing is answered in HTML by accident.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::from_fn;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use contracts::assertion::Surface;
use contracts::identity::HealthStatus;
use contracts::{Code, ErrorCode, Problem};
use http::header::{ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use proxy::Body;
use serde::Serialize;

use crate::adapter::RuntimeAdapter;
use crate::assertion::Verifier;
use crate::routes::{self, Route};
use crate::ssh::{Asked, Ssh};

mod trace;

/// How soon a caller may try again when OpenCode is not there, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("2");

struct Instance {
    adapter: Arc<dyn RuntimeAdapter>,
    verifier: Verifier,
    ssh: Ssh,
}

/// Every route of an instance.
pub fn app(adapter: Arc<dyn RuntimeAdapter>, verifier: Verifier) -> Router {
    let instance = Arc::new(Instance { adapter, verifier, ssh: Ssh::default() });
    Router::new()
        .route("/health", get(health).fallback(only_get))
        .fallback(guarded)
        .with_state(instance)
        .layer(from_fn(trace::trace))
}

async fn health(State(instance): State<Arc<Instance>>) -> Response {
    let health = instance.adapter.health().await;
    let status = match health.status {
        HealthStatus::Ok => StatusCode::OK,
        HealthStatus::Starting | HealthStatus::Degraded | HealthStatus::Failed => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    json(status, &health)
}

async fn only_get() -> Response {
    refuse(Problem::new(ErrorCode::MethodNotAllowed, "this address answers GET only"))
}

async fn guarded(State(instance): State<Arc<Instance>>, mut request: Request) -> Response {
    let claims = match instance.verifier.verify(request.headers()) {
        Ok(claims) => claims,
        Err(refusal) => return refuse(refusal.into()),
    };
    forget_credentials(request.headers_mut());
    let answer = match claims.surface {
        Surface::Api => api(&instance, request).await,
        Surface::Ui => ui(&instance, request).await,
    };
    answer.unwrap_or_else(refuse)
}

/// What proves the gateway to us is nobody else's business, and OpenCode's login is added by the adapter.
fn forget_credentials(headers: &mut HeaderMap) {
    headers.remove(contracts::headers::ASSERTION);
    headers.remove(AUTHORIZATION);
}

async fn api(instance: &Instance, request: Request) -> Result<Response, Problem> {
    let uri = request.uri().clone();
    let Some(path) = uri.path().strip_prefix("/api") else {
        return Err(no_such_route(uri.path()));
    };
    match routes::route(path) {
        Route::Capabilities if matches!(*request.method(), Method::GET | Method::HEAD) => {
            Ok(json(StatusCode::OK, &instance.adapter.capabilities().await))
        }
        Route::Capabilities => {
            Err(Problem::new(ErrorCode::MethodNotAllowed, "/api/capabilities answers GET only"))
        }
        Route::Ssh => match instance.adapter.ssh() {
            Some(server) => match instance.ssh.serve(server, request).await? {
                Asked::Info(info) => Ok(json(StatusCode::OK, &info)),
                Asked::Connection(response) => Ok(response),
            },
            None => Err(unsupported("ssh")),
        },
        Route::Unsupported(name) => Err(unsupported(name)),
        Route::OpenCode => {
            let target = with_query(path, uri.query());
            let response = forward(instance, request, &target).await?;
            not_a_page(response, path)
        }
        Route::Unknown => Err(no_such_route(uri.path())),
    }
}

async fn ui(instance: &Instance, request: Request) -> Result<Response, Problem> {
    if let Some(landing) = instance.adapter.landing().filter(|_| opens_the_ui(&request)) {
        return Ok(see(&landing));
    }
    let target = with_query(request.uri().path(), request.uri().query());
    forward(instance, request, &target).await
}

/// A browser going to the bare address; anything that OpenCode's UI asks for itself is not that.
fn opens_the_ui(request: &Request) -> bool {
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bare = request.uri().path() == "/" && request.uri().query().is_none();
    bare && request.method() == Method::GET && accepts.contains("text/html")
}

fn see(location: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn with_query(path: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

async fn forward(instance: &Instance, request: Request, target: &str) -> Result<Response, Problem> {
    let response = instance.adapter.proxy(request.map(proxy::body), target).await?;
    Ok(response.map(axum::body::Body::new))
}

/// OpenCode answers what it does not know with its web page and 200. Under `/api` that is an error.
fn not_a_page(response: Response, path: &str) -> Result<Response, Problem> {
    let is_page = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("text/html"));
    if !is_page {
        return Ok(response);
    }
    let detail = format!("OpenCode answered {path} with its web page, so it has no such route or method");
    Err(Problem::new(ErrorCode::OpencodeUnexpected, detail)
        .with_action("check the method and the path against OpenCode's API at /api/doc"))
}

fn no_such_route(path: &str) -> Problem {
    let path: String = path.chars().take(200).collect();
    Problem::new(ErrorCode::NotFound, format!("the instance has no route {path}"))
        .with_action("GET /api/capabilities lists the route groups; /api/doc lists OpenCode's routes")
}

fn unsupported(name: &'static str) -> Problem {
    Problem::new(ErrorCode::CapabilityUnsupported, format!("this instance does not offer {name}"))
        .with_action("GET /api/capabilities says what it offers")
}

fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => {
            let mut response = Response::new(axum::body::Body::from(text));
            *response.status_mut() = status;
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => {
            refuse(Problem::new(ErrorCode::Internal, format!("the answer cannot be written: {error}")))
        }
    }
}

/// The problem as an answer. The trace layer adds the request id to both header and body.
fn refuse(problem: Problem) -> Response {
    let mut response: http::Response<Body> = proxy::problem_response(&problem);
    match problem.code {
        Code::Known(ErrorCode::OpencodeUnavailable) => {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        Code::Known(ErrorCode::MethodNotAllowed) => {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        _ => {}
    }
    let mut response = response.map(axum::body::Body::new);
    response.extensions_mut().insert(problem);
    response
}

#[cfg(test)]
mod tests;
