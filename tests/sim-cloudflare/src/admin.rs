//! The port for tests and people: faults, the calls that were seen, what exists. Not Cloudflare's.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::call::Call;
use crate::cloud::Cloud;
use crate::fault::Fault;

pub fn routes(cloud: Arc<Cloud>) -> Router {
    Router::new()
        .route("/faults", get(faults).post(order).delete(clear))
        .route("/calls", get(calls))
        .route("/objects", get(objects))
        .route("/list-lag", post(list_lag))
        .route("/clock", post(clock))
        .route("/network", post(network))
        .route("/machines/fail", post(fail))
        .route("/snapshots/expire", post(expire))
        .route("/snapshots/fail", post(fail_snapshots))
        .with_state(cloud)
}

type Shared = State<Arc<Cloud>>;

async fn faults(cloud: Shared) -> Json<Vec<Fault>> {
    Json(cloud.faults.all())
}

async fn order(cloud: Shared, fault: Json<Fault>) -> StatusCode {
    cloud.faults.order(fault.0);
    StatusCode::CREATED
}

async fn clear(cloud: Shared) -> StatusCode {
    cloud.faults.clear();
    StatusCode::NO_CONTENT
}

async fn calls(cloud: Shared) -> Json<Vec<Call>> {
    Json(cloud.calls.all())
}

async fn objects(cloud: Shared) -> Json<Value> {
    Json(cloud.journal.everything())
}

#[derive(Deserialize)]
struct Lag {
    ms: u64,
}

async fn list_lag(cloud: Shared, lag: Json<Lag>) -> StatusCode {
    cloud.set_list_lag(lag.ms);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Clock {
    ahead_seconds: i64,
}

async fn clock(cloud: Shared, clock: Json<Clock>) -> Result<StatusCode, String> {
    cloud.skew(clock.ahead_seconds).await.map_err(|error| error.to_string())?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Network {
    up: bool,
}

async fn network(cloud: Shared, network: Json<Network>) -> StatusCode {
    cloud.network.send_replace(network.up);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Failing {
    object: String,
}

async fn fail(cloud: Shared, failing: Json<Failing>) -> StatusCode {
    cloud.machines.fail(&failing.object).await;
    StatusCode::NO_CONTENT
}

async fn expire(cloud: Shared) -> StatusCode {
    cloud.machines.expire().await;
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct FailSnapshots {
    fail: bool,
}

async fn fail_snapshots(cloud: Shared, wanted: Json<FailSnapshots>) -> StatusCode {
    cloud.machines.fail_snapshots(wanted.fail);
    StatusCode::NO_CONTENT
}
