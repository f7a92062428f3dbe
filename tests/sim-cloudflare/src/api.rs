//! `api.cloudflare.com/client/v4`: which paths there are, and who may use them.

mod account;
mod applications;
mod dns;
mod domains;
mod migrations;
mod preparations;
mod rollouts;
mod scripts;
mod secrets;
mod upload;
mod versions;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post, put};
use http::header::AUTHORIZATION;
use http::{Method, StatusCode};

use crate::cloud::Cloud;
use crate::envelope::ApiError;

type Shared = State<Arc<Cloud>>;

const LARGEST_UPLOAD: usize = 100 * 1024 * 1024;

pub fn routes(cloud: Arc<Cloud>) -> Router {
    let account = Router::new()
        .route("/workers/services/{script}", get(scripts::service).delete(scripts::remove))
        .route("/workers/scripts", get(scripts::list))
        .route("/workers/scripts/{script}", put(upload::upload).delete(scripts::remove))
        .route("/workers/scripts/{script}/settings", get(scripts::settings))
        .route(
            "/workers/scripts/{script}/subdomain",
            get(scripts::on_subdomain).post(scripts::set_on_subdomain),
        )
        .route("/workers/scripts/{script}/versions", get(versions::list))
        .route("/workers/scripts/{script}/versions/{version}", get(versions::one))
        .route("/workers/scripts/{script}/deployments", get(versions::deployments))
        .route("/workers/scripts/{script}/secrets", get(secrets::list).put(secrets::put))
        .route("/workers/scripts/{script}/secrets/{name}", delete(secrets::remove))
        .route("/workers/scripts/{script}/references", get(scripts::references))
        .route("/storage/kv/namespaces", get(account::no_namespaces))
        .route("/workers/subdomain", get(account::subdomain))
        .route("/workers/domains", get(domains::list).put(domains::attach))
        .route("/workers/domains/{id}", delete(domains::remove))
        .route("/workers/durable_objects/namespaces", get(scripts::namespaces))
        .route("/containers/me", get(account::containers).patch(account::containers))
        .route("/containers/registries/{domain}/credentials", post(account::registry_credentials))
        .route("/containers/image-preparations", post(preparations::prepare))
        .route("/containers/applications", get(applications::list).post(applications::create))
        .route(
            "/containers/applications/{id}",
            get(applications::one).patch(applications::modify).delete(applications::remove),
        )
        .route("/containers/applications/{id}/rollouts", get(rollouts::list).post(rollouts::create))
        .route("/containers/applications/{id}/rollouts/{rollout}", get(rollouts::one))
        .route("/containers/dash/applications", get(applications::dash))
        .route("/containers/dash/applications/{id}/instances", get(applications::instances));
    let all = Router::new()
        .route("/user/tokens/verify", get(account::verify))
        .route("/accounts", get(account::accounts))
        .route("/memberships", get(account::memberships))
        .nest("/accounts/{account}", account)
        .route("/zones", get(dns::zones))
        .route("/zones/{zone}/dns_records", get(dns::list).post(dns::create))
        .route(
            "/zones/{zone}/dns_records/{record}",
            get(dns::one).patch(dns::modify).put(dns::modify).delete(dns::remove),
        )
        .fallback(no_route)
        .method_not_allowed_fallback(no_route)
        .layer(from_fn_with_state(cloud.clone(), authorize))
        .layer(axum::extract::DefaultBodyLimit::max(LARGEST_UPLOAD))
        .with_state(cloud);
    Router::new().nest("/client/v4", all).fallback(no_route)
}

async fn no_route(request: Request) -> ApiError {
    let message =
        format!("Could not route to {}, perhaps your object identifier is invalid?", request.uri().path());
    ApiError::not_found(7003, message)
}

/// A token must be known, may be for reading only, and sees one account.
async fn authorize(State(cloud): Shared, request: Request, next: Next) -> Response {
    match allowed(&cloud, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn allowed(cloud: &Cloud, request: &Request) -> Result<(), ApiError> {
    let Some(sent) = request.headers().get(AUTHORIZATION) else {
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, 10001, "Unable to authenticate request"));
    };
    let Some(token) = sent.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")) else {
        return Err(ApiError::bad_request(6003, "Invalid request headers"));
    };
    let known = |tokens: &[String]| tokens.iter().any(|known| known == token);
    let (full, reader) = (known(&cloud.options.tokens), known(&cloud.options.readers));
    if !full && !reader {
        return Err(ApiError::new(StatusCode::FORBIDDEN, 9109, "Invalid access token"));
    }
    let denied = || ApiError::new(StatusCode::FORBIDDEN, 10000, "Authentication error");
    if !full && request.method() != Method::GET {
        return Err(denied());
    }
    // Nested routers see the rest of the path only.
    let mut parts = request.uri().path().split('/').skip_while(|part| *part != "accounts").skip(1);
    match parts.next() {
        Some(account) if account != cloud.options.account => Err(denied()),
        _ => Ok(()),
    }
}
