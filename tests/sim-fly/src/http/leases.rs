//! Leases: whoever holds one is alone in changing the machine.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::paging::Query;
use super::{Body, Caller, NONCE};
use crate::core::Core;
use crate::error::{Answer, Refusal};
use crate::journal::Event;
use crate::world::{Lease, Machine};
use crate::{clock, ids};

type Address = Path<(String, String)>;
/// Seconds, when nobody says otherwise.
const TTL: i64 = 30;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Acquire {
    description: String,
    ttl: Option<i64>,
}

/// A new lease, or a longer one for whoever sends its nonce.
pub async fn acquire(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
    query: Query,
    headers: HeaderMap,
    Body(acquire): Body<Acquire>,
) -> Answer<(StatusCode, Json<Value>)> {
    let nonce = headers.get(NONCE).and_then(|nonce| nonce.to_str().ok());
    let ttl = acquire.ttl.or_else(|| query.get("ttl")?.parse().ok()).unwrap_or(TTL).max(1);
    let view = core.change(|changing| {
        let machine = changing.world.machine_mut(&caller.org, &app, &id)?;
        machine.must_hold_lease(nonce)?;
        let held = machine.living_lease().map(|lease| lease.nonce.clone());
        let lease = Lease {
            nonce: held.unwrap_or_else(ids::nonce),
            owner: caller.org.clone(),
            description: acquire.description.clone(),
            expires_at: clock::now().as_second() + ttl,
        };
        let view = success(machine, &lease);
        machine.lease = Some(lease);
        changing.note_machine(Event::Changed, &id);
        Ok(view)
    });
    Ok((StatusCode::CREATED, Json(view.await?)))
}

pub async fn get(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
) -> Answer<Json<Value>> {
    core.look(|world| {
        let machine = world.machine(&caller.org, &app, &id)?;
        let lease =
            machine.living_lease().ok_or_else(|| Refusal::missing("no lease is held").in_lease_form())?;
        Ok(Json(success(machine, lease)))
    })
}

pub async fn release(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
    headers: HeaderMap,
) -> Answer<Json<Value>> {
    let nonce = headers.get(NONCE).and_then(|nonce| nonce.to_str().ok());
    let released = core.change(|changing| {
        let machine = changing.world.machine_mut(&caller.org, &app, &id)?;
        machine.must_hold_lease(nonce)?;
        machine.lease = None;
        changing.note_machine(Event::Changed, &id);
        Ok(())
    });
    released.await?;
    Ok(Json(json!({"status": "success"})))
}

fn success(machine: &Machine, lease: &Lease) -> Value {
    json!({"status": "success", "data": {
        "nonce": lease.nonce, "expires_at": lease.expires_at, "owner": lease.owner,
        "description": lease.description, "version": machine.version,
    }})
}
