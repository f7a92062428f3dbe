//! One log line and one id for each request.
//!
//! The path is logged without its query: a query may hold OpenCode's login or a ticket.

use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use contracts::{Code, Problem};
use http::HeaderValue;

/// Takes the caller's request id or makes one, passes it on, returns it and logs the outcome.
pub(super) async fn trace(mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = proxy::request_id(request.headers());
    let value = HeaderValue::from_str(&id).ok();
    if let Some(value) = &value {
        request.headers_mut().insert(proxy::REQUEST_ID, value.clone());
    }
    let method = request.method().clone();
    let path = request.uri().path().to_owned();

    let mut response = next.run(request).await;

    let problem = response.extensions_mut().remove::<Problem>();
    let code = problem.as_ref().map(|problem| problem.code.clone());
    if let Some(problem) = problem {
        response = with_id_in_body(response, problem, &id);
    }
    if let Some(value) = value {
        response.headers_mut().insert(proxy::REQUEST_ID, value);
    }
    let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis());
    // Health is asked several times a second while an instance boots.
    if path == "/health" {
        tracing::debug!(requestId = %id, %method, path, status, ms, "request");
    } else {
        tracing::info!(requestId = %id, %method, path, status, ms, code = code.as_ref().map(Code::as_str), "request");
    }
    response
}

fn with_id_in_body(response: Response, problem: Problem, id: &str) -> Response {
    let (mut parts, _) = response.into_parts();
    let (_, body) = proxy::problem_response(&problem.with_request_id(id)).into_parts();
    parts.headers.remove(http::header::CONTENT_LENGTH);
    Response::from_parts(parts, axum::body::Body::new(body))
}
