//! Who may call what: the admin token everything, the gateway's token only what routing needs.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use contracts::{ErrorCode, Problem};
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;

use super::{Api, Failure};

/// Who asks, as it is named in the audit: by the token.
#[derive(Clone, Copy)]
pub struct Principal(pub &'static str);

pub const ADMIN: &str = "admin";
const GATEWAY: &str = "gateway";

pub struct Tokens {
    pub admin: String,
    pub gateway: String,
}

/// Refuses every request without a token that suffices for it.
pub async fn require(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let bearer = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = bearer.and_then(|value| value.strip_prefix("Bearer ")) else {
        return refuse(ErrorCode::Unauthorized, "This API needs a token: `Authorization: Bearer ...`.");
    };
    if same(token, &api.tokens.admin) {
        request.extensions_mut().insert(Principal(ADMIN));
        return next.run(request).await;
    }
    if !same(token, &api.tokens.gateway) {
        return refuse(ErrorCode::Unauthorized, "The token is not known to this installation.");
    }
    if is_for_gateways(request.uri().path()) {
        request.extensions_mut().insert(Principal(GATEWAY));
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
        || path
            .strip_prefix("/v1/workspaces/")
            .and_then(|rest| rest.strip_suffix("/wake"))
            .is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

fn same(given: &str, expected: &str) -> bool {
    given.as_bytes().ct_eq(expected.as_bytes()).into()
}

fn refuse(code: ErrorCode, detail: &str) -> Response {
    let action = "The admin token is in `secrets/admin-token` of the data folder.";
    Failure::from(Problem::new(code, detail).with_action(action)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_may_wake_any_workspace_and_do_nothing_else_to_one() {
        for path in ["/v1/resolve/demo", "/v1/routes", "/v1/workspaces/demo/wake", "/v1/workspaces/wake/wake"]
        {
            assert!(is_for_gateways(path), "{path}");
        }
        for path in ["/v1/workspaces/wake", "/v1/workspaces//wake", "/v1/workspaces/a/b/wake", "/v1/routes/x"]
        {
            assert!(!is_for_gateways(path), "{path}");
        }
    }
}
