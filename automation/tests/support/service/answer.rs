//! What comes in and goes out: bodies, who asks, and refusals in the form that Pulumi reads.

use std::io::Read as _;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};

use super::Shared;

pub type Answer = Result<axum::Json<Json>, Refusal>;

pub fn answer(body: Json) -> Answer {
    Ok(axum::Json(body))
}

/// Refused, with a status and why.
#[derive(Debug)]
pub struct Refusal(pub StatusCode, pub String);

impl Refusal {
    pub fn not_found(what: &str) -> Self {
        Self(StatusCode::NOT_FOUND, format!("Not Found: {what}"))
    }

    pub fn bad(why: &str) -> Self {
        Self(StatusCode::BAD_REQUEST, format!("Bad Request: {why}"))
    }

    pub fn conflict(why: &str) -> Self {
        Self(StatusCode::CONFLICT, format!("Conflict: {why}"))
    }

    pub fn forbidden(why: &str) -> Self {
        Self(StatusCode::FORBIDDEN, format!("Forbidden: {why}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"code": self.0.as_u16(), "message": self.1});
        (self.0, axum::Json(body)).into_response()
    }
}

/// The user whose access token it is.
pub struct User(pub String);

impl FromRequestParts<Arc<Shared>> for User {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Refusal> {
        let name = credential(parts, "token ").and_then(|token| shared.data().users.get(&token).cloned());
        name.map(Self).ok_or_else(|| {
            let why = "Unauthorized: No credentials provided or are invalid.";
            Refusal(StatusCode::UNAUTHORIZED, why.to_owned())
        })
    }
}

/// The token of an update's lease; whether it is good, the update knows.
pub struct LeaseToken(pub String);

impl FromRequestParts<Arc<Shared>> for LeaseToken {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Shared>) -> Result<Self, Refusal> {
        let token = credential(parts, "update-token ");
        token.map(Self).ok_or_else(|| Refusal::forbidden("The update token is missing"))
    }
}

fn credential(parts: &Parts, scheme: &str) -> Option<String> {
    let given = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    given.strip_prefix(scheme).map(str::to_owned)
}

/// A body as it was before it was compressed.
pub struct Body(pub Vec<u8>);

impl Body {
    pub fn json(&self) -> Result<Json, Refusal> {
        serde_json::from_slice(&self.0).map_err(|error| Refusal::bad(&error.to_string()))
    }
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let is_compressed = request.headers().get(header::CONTENT_ENCODING).is_some_and(|how| how == "gzip");
        let bytes = axum::body::Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|error| Refusal::bad(&error.to_string()))?;
        if !is_compressed {
            return Ok(Self(bytes.to_vec()));
        }
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&*bytes)
            .read_to_end(&mut plain)
            .map_err(|error| Refusal::bad(&error.to_string()))?;
        Ok(Self(plain))
    }
}
