//! The one shape of every answer of the API: `success`, `errors`, `messages`, `result`, `result_info`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

/// A refusal with Cloudflare's own number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} [code: {code}]")]
pub struct ApiError {
    pub status: StatusCode,
    pub code: u32,
    pub message: String,
}

impl ApiError {
    pub fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub fn bad_request(code: u32, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub fn not_found(code: u32, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }
}

impl From<std::io::Error> for ApiError {
    fn from(error: std::io::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, 10013, format!("the simulator's disk: {error}"))
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self::bad_request(10001, format!("Could not parse the request: {error}"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = json!({"code": self.code, "message": self.message});
        let body = json!({"success": false, "errors": [error], "messages": [], "result": null});
        (self.status, Json(body)).into_response()
    }
}

pub type Answer = Result<Success, ApiError>;

/// A result, and where it stands in a list.
pub struct Success {
    result: Value,
    info: Option<Value>,
}

impl Success {
    pub fn of(result: impl Serialize) -> Answer {
        Ok(Self { result: serde_json::to_value(result)?, info: None })
    }

    /// One page of a list.
    pub fn page<T: Serialize>(all: &[T], page: &Page) -> Answer {
        let per_page = page.per_page.unwrap_or(20).clamp(1, 1000);
        let number = page.page.unwrap_or(1).max(1);
        let shown: Vec<&T> = all.iter().skip((number - 1) * per_page).take(per_page).collect();
        let info = json!({
            "page": number, "per_page": per_page, "count": shown.len(),
            "total_count": all.len(), "total_pages": all.len().div_ceil(per_page),
        });
        Ok(Self { result: serde_json::to_value(shown)?, info: Some(info) })
    }
}

impl IntoResponse for Success {
    fn into_response(self) -> Response {
        let mut body = json!({"success": true, "errors": [], "messages": [], "result": self.result});
        if let Some(info) = self.info {
            body["result_info"] = info;
        }
        Json(body).into_response()
    }
}

/// Which part of a list.
#[derive(Debug, Default, serde::Deserialize)]
pub struct Page {
    pub page: Option<usize>,
    pub per_page: Option<usize>,
}
