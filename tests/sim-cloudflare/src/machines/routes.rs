//! The part of Docker's API that workerd uses.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Machines, Refused};

type Shared = State<Arc<Machines>>;

pub fn routes(machines: Arc<Machines>) -> Router {
    Router::new()
        .route("/containers/create", post(create))
        .route("/containers/{name}", delete(remove))
        .route("/containers/{name}/json", get(inspect))
        .route("/containers/{name}/start", post(start))
        .route("/containers/{name}/stop", post(stop))
        .route("/containers/{name}/kill", post(kill))
        .route("/containers/{name}/wait", post(wait))
        .with_state(machines)
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wanted {
    #[serde(default)]
    env: Vec<String>,
    cmd: Option<Vec<String>>,
}

// workerd names no content type in a form that every extractor takes, so the body is read as text.
async fn create(machines: Shared, named: Query<Named>, body: String) -> Result<Response, Refused> {
    let wanted: Wanted = serde_json::from_str(&body).map_err(|error| Refused::Failed(error.to_string()))?;
    machines.create(&named.name, wanted.env, wanted.cmd.filter(|words| !words.is_empty())).await?;
    Ok((StatusCode::CREATED, Json(json!({"Id": named.name, "Warnings": []}))).into_response())
}

async fn start(machines: Shared, name: Path<String>) -> Result<StatusCode, Refused> {
    if machines.find(&name).is_some_and(|live| live.running) {
        return Ok(StatusCode::NOT_MODIFIED);
    }
    machines.run(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn inspect(machines: Shared, name: Path<String>) -> Result<Json<Value>, Refused> {
    let live = machines.find(&name).ok_or(Refused::Absent)?;
    let mut ports = Map::new();
    if live.running {
        for (port, host) in machines.engine.ports(&live.container).await? {
            // workerd takes the second member, whatever its name.
            ports.insert(port, json!([{"HostIp": "127.0.0.1", "HostPort": host}]));
        }
    }
    let status = if live.running { "running" } else { "created" };
    Ok(Json(json!({"Id": *name, "State": {"Status": status}, "NetworkSettings": {"Ports": ports}})))
}

/// workerd stops before it removes, when an object destroys its container. Cloudflare kills.
async fn stop(machines: Shared, name: Path<String>) -> Result<StatusCode, Refused> {
    machines.forget(&name).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(machines: Shared, name: Path<String>) -> Result<StatusCode, Refused> {
    machines.forget(&name).await;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Signal {
    signal: String,
}

async fn kill(machines: Shared, name: Path<String>, signal: Query<Signal>) -> Result<StatusCode, Refused> {
    let live = machines.find(&name).filter(|live| live.running).ok_or(Refused::Conflict)?;
    machines.engine.kill(&live.container, &signal.signal).await?;
    // Docker says 204; workerd expects 200.
    Ok(StatusCode::OK)
}

async fn wait(machines: Shared, name: Path<String>) -> Result<Json<Value>, Refused> {
    let code = machines.end_of(&name).await?;
    Ok(Json(json!({"StatusCode": code})))
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self {
            Refused::Absent | Refused::NoImage(_) => StatusCode::NOT_FOUND,
            Refused::Conflict => StatusCode::CONFLICT,
            Refused::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(json!({"message": self.to_string()}))).into_response()
    }
}
