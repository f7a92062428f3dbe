//! Who may call what: the admin token everything, the gateway's token only what routing needs.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use contracts::{ErrorCode, Problem};
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;

use super::{Api, Failure};

/// Who holds the admin token, as it is named in the audit.
pub const ADMIN: &str = "admin";

pub struct Tokens {
    pub admin: String,
    pub gateway: String,
}

/// Refuses every request without a token that suffices for it.
pub async fn require(State(api): State<Api>, request: Request, next: Next) -> Response {
    let bearer = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = bearer.and_then(|value| value.strip_prefix("Bearer ")) else {
        return refuse(ErrorCode::Unauthorized, "This API needs a token: `Authorization: Bearer ...`.");
    };
    if same(token, &api.tokens.admin) {
        return next.run(request).await;
    }
    if !same(token, &api.tokens.gateway) {
        return refuse(ErrorCode::Unauthorized, "The token is not known to this installation.");
    }
    if is_for_gateways(request.uri().path()) {
        return next.run(request).await;
    }
    refuse(
        ErrorCode::Forbidden,
        "The gateway's token may only resolve and watch routes, and wake workspaces.",
    )
}

fn is_for_gateways(path: &str) -> bool {
    path.starts_with("/v1/resolve/")
        || path == "/v1/routes"
        || (path.starts_with("/v1/workspaces/") && path.ends_with("/wake"))
}

fn same(given: &str, expected: &str) -> bool {
    given.as_bytes().ct_eq(expected.as_bytes()).into()
}

fn refuse(code: ErrorCode, detail: &str) -> Response {
    let action = "The admin token is in `secrets/admin-token` of the data folder.";
    Failure::from(Problem::new(code, detail).with_action(action)).into_response()
}
