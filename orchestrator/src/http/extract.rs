//! Request parts as the lifecycle wants them, and every refusal as a problem.

use std::convert::Infallible;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use contracts::{ErrorCode, OperationId, Problem, RolloutId, WorkspaceRef, headers};
use http::header::IF_MATCH;
use http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::{Failure, auth};
use crate::lifecycle::{request, service};

/// The id of the request, made or taken over by the outermost layer.
#[derive(Clone)]
pub struct RequestId(pub String);

/// Who asks, for the lifecycle.
pub struct Caller(pub service::Caller);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
        let key = match parts.headers.get(headers::IDEMPOTENCY_KEY).map(|value| value.to_str()) {
            None => None,
            Some(Ok(key)) if is_key(key) => Some(key.to_owned()),
            Some(_) => {
                let detail = "An Idempotency-Key has 1 to 128 printable ASCII characters.";
                return Err(Problem::new(ErrorCode::BadRequest, detail).into());
            }
        };
        let principal = parts.extensions.get::<auth::Principal>().map_or(auth::ADMIN, |who| who.0).to_owned();
        // One that says nothing protects from nothing, and who sends it believes otherwise.
        let if_match = match parts.headers.get(IF_MATCH).map(|value| value.to_str()) {
            None => None,
            Some(Ok(tag)) if !tag.trim_matches(['"', ' ']).is_empty() => {
                Some(tag.trim_matches('"').to_owned())
            }
            Some(_) => {
                let detail = "An If-Match has an ETag that this server has given, or a star for any version.";
                return Err(Problem::new(ErrorCode::BadRequest, detail).into());
            }
        };
        let if_match = if_match.filter(|tag| tag != "*");
        Ok(Self(service::Caller { principal, request_id, idempotency_key: key, if_match }))
    }
}

fn is_key(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A number of a query: the usual one where nobody says, and refused where it is not within the range.
pub fn within(
    name: &str,
    given: Option<u64>,
    usual: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, Problem> {
    let number = given.unwrap_or(usual);
    if range.contains(&number) {
        return Ok(number);
    }
    let detail = format!("`{name}` is {} to {}, not {number}.", range.start(), range.end());
    Err(Problem::new(ErrorCode::BadRequest, detail))
}

/// The workspace in the path, by its id or its slug.
pub struct WorkspacePath(pub WorkspaceRef);

impl<S: Send + Sync> FromRequestParts<S> for WorkspacePath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let text = path_text(parts, state).await?;
        Ok(Self(request::workspace(&text)?))
    }
}

/// The operation id in the path.
pub struct OperationPath(pub OperationId);

impl<S: Send + Sync> FromRequestParts<S> for OperationPath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let text = path_text(parts, state).await?;
        let id =
            text.parse().map_err(|error| Problem::new(ErrorCode::OperationNotFound, format!("{error}.")))?;
        Ok(Self(id))
    }
}

/// A rollout's id in the path.
pub struct RolloutPath(pub RolloutId);

impl<S: Send + Sync> FromRequestParts<S> for RolloutPath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let text = path_text(parts, state).await?;
        let id =
            text.parse().map_err(|error| Problem::new(ErrorCode::RolloutNotFound, format!("{error}.")))?;
        Ok(Self(id))
    }
}

async fn path_text<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, Failure> {
    let path = Path::<String>::from_request_parts(parts, state).await;
    let Path(text) = path.map_err(|error| Problem::new(ErrorCode::BadRequest, error.to_string()))?;
    Ok(text)
}

/// A name in the path.
pub struct NamePath(pub String);

impl<S: Send + Sync> FromRequestParts<S> for NamePath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        path_text(parts, state).await.map(Self)
    }
}

/// The parameters behind the path.
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        let Query(parameters) = query.map_err(|error| {
            let words = error.body_text();
            refused_query(words.strip_prefix("Failed to deserialize query string: ").unwrap_or(&words))
        })?;
        Ok(Self(parameters))
    }
}

/// The same, where a parameter may be there more than once.
pub struct Repeatable<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Repeatable<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let query = serde_html_form::from_str(parts.uri.query().unwrap_or_default());
        Ok(Self(query.map_err(|error| refused_query(&error.to_string()))?))
    }
}

/// Of a parameter of [`Repeatable`] that is there: without a value it is not as if it were absent.
pub fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

fn refused_query(words: &str) -> Problem {
    // serde has no other way to tell an unknown field from a wrong type.
    let code = match words.contains("unknown field") {
        true => ErrorCode::UnknownField,
        false => ErrorCode::BadRequest,
    };
    Problem::new(code, format!("The query is not a valid one: {words}."))
        .with_action("`/openapi.json` describes every parameter.")
}

/// A JSON object as body. Names the field when one is unknown.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|error| match error.status() {
            http::StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(ErrorCode::TooLarge, "The body has more than 2 MB.")
            }
            _ => Problem::new(ErrorCode::BadRequest, format!("{error}.")),
        })?;
        // A list would be taken for the fields in the order of their declaration.
        if bytes.trim_ascii_start().starts_with(b"[") {
            let error = serde::de::Error::custom("a list, where an object is expected");
            return Err(refusal(&error).into());
        }
        Ok(Self(serde_json::from_slice(&bytes).map_err(|error| refusal(&error))?))
    }
}

fn refusal(error: &serde_json::Error) -> Problem {
    let words = error.to_string();
    // serde has no other way to tell an unknown field from a wrong type.
    let code =
        if words.starts_with("unknown field") { ErrorCode::UnknownField } else { ErrorCode::BadRequest };
    Problem::new(code, format!("The body is not a valid request: {words}."))
        .with_action("`/openapi.json` describes every request.")
}

/// Extraction that cannot fail needs no problem.
impl From<Infallible> for Failure {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    async fn read(name: &str, value: &[u8]) -> Result<service::Caller, Failure> {
        let (mut parts, ()) = http::Request::builder().body(()).unwrap().into_parts();
        let name = http::HeaderName::try_from(name).unwrap();
        parts.headers.insert(name, HeaderValue::from_bytes(value).unwrap());
        Caller::from_request_parts(&mut parts, &()).await.map(|caller| caller.0)
    }

    #[tokio::test]
    async fn a_header_that_protects_is_refused_where_it_says_nothing_that_can_be_read() {
        for value in ["", " ", "\"\"", "ü"] {
            for name in ["idempotency-key", "if-match"] {
                let given = read(name, value.as_bytes()).await;
                // Two quotes are a key like others.
                let is_key = name == "idempotency-key" && value == "\"\"";
                assert_eq!(given.is_ok(), is_key, "{name}: {value:?}");
            }
        }
        assert_eq!(read("if-match", b"\"v7\"").await.ok().unwrap().if_match.as_deref(), Some("v7"));
        assert_eq!(read("if-match", b"*").await.ok().unwrap().if_match, None);
    }
}
