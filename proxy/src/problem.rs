//! A problem document as an HTTP answer.

use contracts::Problem;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use crate::body::{Body, full};
use crate::headers::REQUEST_ID;

/// The answer for an error: `application/problem+json`, never cached, with the request id where known.
pub fn problem_response(problem: &Problem) -> Response<Body> {
    // A Problem is plain data, so writing it cannot fail; an empty body would still carry the status.
    let text = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = Response::new(full(text));
    *response.status_mut() =
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(contracts::headers::PROBLEM_JSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(id) = problem.request_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok()) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::ErrorCode;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn an_error_is_answered_as_a_problem_document_with_its_status_and_request_id() {
        let problem = Problem::new(ErrorCode::WorkspaceNotFound, "no such thing").with_request_id("req-1");
        let response = problem_response(&problem);
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["x-pilot-request-id"], "req-1");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(serde_json::from_slice::<Problem>(&bytes).unwrap(), problem);
    }
}
