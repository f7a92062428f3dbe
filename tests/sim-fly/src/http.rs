//! The API's addresses. Each handler reads its input, asks or changes the objects once, and answers.

mod admission;
pub mod apps;
pub mod control;
mod leases;
mod machines;
mod metadata;
mod orgs;
mod paging;
mod platform;
mod secrets;
mod volumes;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest, Request};
use axum::routing::{get, post, put};
use serde::de::DeserializeOwned;

use crate::core::Core;
use crate::error::{Answer, Refusal};

/// Whose token came with the request.
#[derive(Debug, Clone)]
pub struct Caller {
    pub org: String,
}

/// Header that carries a lease's nonce.
pub const NONCE: &str = "fly-machine-lease-nonce";

pub fn routes(core: Arc<Core>) -> Router {
    let machine = Router::new()
        .route("/", get(machines::get).post(machines::update).delete(control::destroy))
        .route("/start", post(control::start))
        .route("/stop", post(control::stop))
        .route("/suspend", post(control::suspend))
        .route("/restart", post(control::restart))
        .route("/signal", post(control::signal))
        .route("/cordon", post(control::cordon))
        .route("/uncordon", post(control::uncordon))
        .route("/exec", post(control::exec))
        .route("/wait", get(machines::wait))
        .route("/events", get(machines::events))
        .route("/versions", get(machines::versions))
        .route("/lease", get(leases::get).post(leases::acquire).delete(leases::release))
        .route("/metadata", get(metadata::all).patch(metadata::patch))
        .route("/metadata/{key}", get(metadata::get).post(metadata::set).delete(metadata::delete));
    let app = Router::new()
        .route("/", get(apps::get).delete(apps::delete))
        .route("/machines", get(machines::list).post(machines::create))
        .nest("/machines/{machine}", machine)
        .route("/volumes", get(volumes::list).post(volumes::create))
        .route("/volumes/{volume}", get(volumes::get).put(volumes::update).delete(volumes::delete))
        .route("/volumes/{volume}/extend", put(volumes::extend))
        .route("/volumes/{volume}/snapshots", get(volumes::snapshots).post(volumes::snapshot))
        .route("/secrets", get(secrets::list).post(secrets::update))
        .route("/secrets/{name}", get(secrets::get).post(secrets::set).delete(secrets::delete))
        .route("/ip_assignments", get(apps::addresses).post(apps::assign))
        .route("/ip_assignments/{ip}", axum::routing::delete(apps::release));
    Router::new()
        .route("/v1/apps", get(apps::list).post(apps::create))
        .nest("/v1/apps/{app}", app)
        .route("/v1/orgs/{org}/machines", get(orgs::machines))
        .route("/v1/orgs/{org}/volumes", get(orgs::volumes))
        .route("/v1/platform/regions", get(platform::regions))
        .route("/v1/platform/placements", post(platform::placements))
        .route("/v1/tokens/current", get(platform::token))
        .fallback(|| async { Refusal::missing("not found") })
        .with_state(core)
}

/// A JSON body; an empty one is an empty object. Unknown fields are ignored, as the vendor does.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Answer<Self> {
        let bytes = bytes::Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|error| Refusal::bad(format!("the body cannot be read: {error}")))?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let parsed = serde_json::from_slice(text);
        parsed.map(Body).map_err(|error| Refusal::bad(format!("invalid json: {error}")))
    }
}
