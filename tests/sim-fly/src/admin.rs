//! The admin port: orders of faults, what was asked, and events that no API causes. It has no token and
//! listens on loopback.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::core::Core;
use crate::error::{Answer, Refusal};
use crate::faults::Fault;
use crate::http::Body;
use crate::journal::Event;
use crate::seen::Request;

pub fn routes(core: Arc<Core>) -> Router {
    Router::new()
        .route("/faults", get(faults).post(order).delete(clear))
        .route("/faults/{id}", axum::routing::delete(clear_one))
        .route("/requests", get(requests).delete(forget))
        .route("/machines/{id}/host", post(host))
        .route("/machines/{id}/lose-memory", post(lose_memory))
        .with_state(core)
}

async fn order(State(core): State<Arc<Core>>, Body(fault): Body<Fault>) -> Json<Value> {
    Json(json!({"id": core.faults.add(fault)}))
}

async fn faults(State(core): State<Arc<Core>>) -> Json<Value> {
    let all = core.faults.all().into_iter().map(|(id, fault)| json!({"id": id, "fault": fault}));
    Json(all.collect())
}

async fn clear(State(core): State<Arc<Core>>) -> StatusCode {
    core.faults.clear(None);
    StatusCode::NO_CONTENT
}

async fn clear_one(State(core): State<Arc<Core>>, Path(id): Path<u64>) -> StatusCode {
    core.faults.clear(Some(id));
    StatusCode::NO_CONTENT
}

async fn requests(State(core): State<Arc<Core>>) -> Json<Vec<Request>> {
    Json(core.seen.all())
}

async fn forget(State(core): State<Arc<Core>>) -> StatusCode {
    core.seen.forget();
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
struct Host {
    /// `ok`, `unknown` or `unreachable`.
    status: String,
}

/// The machine's host is reached or not; the machine and its volume say so.
async fn host(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
    Body(host): Body<Host>,
) -> Answer<StatusCode> {
    set_host(&core, &id, &host.status).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// See the route of this name.
///
/// # Errors
/// 404 for a machine that is not known.
pub async fn set_host(core: &Core, id: &str, status: &str) -> Answer<()> {
    core.change(|changing| {
        let machine =
            changing.world.machines.get_mut(id).ok_or_else(|| Refusal::missing("no such machine"))?;
        machine.host_status = status.to_owned();
        let attached: Vec<String> = changing
            .world
            .volumes
            .values_mut()
            .filter(|volume| volume.attached_machine.as_deref() == Some(id))
            .map(|volume| {
                volume.host_status = status.to_owned();
                volume.id.clone()
            })
            .collect();
        changing.note_machine(Event::Changed, id);
        for volume in attached {
            changing.note_volume(Event::Changed, &volume);
        }
        Ok(())
    })
    .await
}

/// A suspended machine loses its memory, as the vendor says may happen: its next start is a boot.
async fn lose_memory(State(core): State<Arc<Core>>, Path(id): Path<String>) -> Answer<StatusCode> {
    let running = core.change(|changing| {
        let machine =
            changing.world.machines.get_mut(&id).ok_or_else(|| Refusal::missing("no such machine"))?;
        let running = machine.running.take();
        changing.note_machine(Event::Changed, &id);
        Ok(running)
    });
    if let Some(running) = running.await? {
        // It may have ended already, which is what is wanted.
        let _ = core.runner.stop(&id, &running, 9, std::time::Duration::ZERO).await;
    }
    Ok(StatusCode::NO_CONTENT)
}
