//! Everything that is about the installation and not about one workspace.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use contracts::operation::Operation;
use contracts::workspace::{ProviderInfo, Route};
use contracts::{ErrorCode, Problem};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderName, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::{Caller, NamePath, WorkspacePath};
use super::{Answer, Api, detached};

#[derive(Serialize, ToSchema)]
pub struct ProviderList {
    providers: Vec<ProviderInfo>,
}

/// The provider modules of this installation.
#[utoipa::path(get, path = "/v1/providers", responses((status = 200, body = ProviderList), (status = "default", body = Problem)))]
pub async fn providers(State(api): State<Api>) -> Json<ProviderList> {
    Json(ProviderList { providers: api.lifecycle.provider_list() })
}

/// Remove what all workspaces of a provider share, such as Cloudflare's Worker. Refused while one exists or its home is kept;
/// the next create makes it again.
#[utoipa::path(delete, path = "/v1/providers/{name}/shared", params(("name" = String, Path)),
    responses((status = 202, body = Operation), (status = "default", body = Problem)))]
pub async fn teardown(
    State(api): State<Api>,
    NamePath(name): NamePath,
    caller: Caller,
) -> Answer<(StatusCode, [(HeaderName, String); 1], Json<Operation>)> {
    let operation = detached(async move { api.lifecycle.teardown(&name, &caller.0).await }).await?;
    let location = format!("/v1/operations/{}", operation.id);
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], Json(operation)))
}

/// Where a workspace's traffic goes; for gateways.
#[utoipa::path(get, path = "/v1/resolve/{workspace}", params(("workspace" = String, Path, description = "Its id or its slug")),
    responses((status = 200, body = Route), (status = "default", body = Problem)))]
pub async fn resolve(State(api): State<Api>, WorkspacePath(name): WorkspacePath) -> Answer<Json<Route>> {
    Ok(Json(api.lifecycle.resolve(&name).await?))
}

#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok`, or `ready`.
    status: &'static str,
    /// Of this program.
    version: &'static str,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Alive: the process answers.
#[utoipa::path(get, path = "/health", responses((status = 200, body = Health)))]
pub async fn health() -> Json<Health> {
    Json(Health { status: "ok", version: VERSION })
}

/// Ready: a request would be accepted.
#[utoipa::path(get, path = "/ready", responses((status = 200, body = Health), (status = "default", body = Problem)))]
pub async fn ready(State(api): State<Api>) -> Answer<Json<Health>> {
    api.lifecycle.store.ping().await.map_err(Problem::from)?;
    Ok(Json(Health { status: "ready", version: VERSION }))
}

/// The page that explains an error code, in Markdown.
#[utoipa::path(get, path = "/docs/errors/{code}", params(("code" = String, Path)),
    responses((status = 200, content_type = "text/markdown", body = String), (status = "default", body = Problem)))]
pub async fn error_page(NamePath(code): NamePath) -> Answer<Response> {
    let code: ErrorCode = code
        .trim_end_matches(".md")
        .parse()
        .map_err(|()| Problem::new(ErrorCode::NotFound, format!("There is no error code {code:?}.")))?;
    Ok(([(CONTENT_TYPE, "text/markdown; charset=utf-8")], code.page()).into_response())
}
