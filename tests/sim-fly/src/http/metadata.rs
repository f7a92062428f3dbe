//! A machine's metadata, which changes without a new version of the machine.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Caller};
use crate::core::Core;
use crate::error::{Answer, Refusal};
use crate::journal::Event;

type Address = Path<(String, String)>;
type KeyAddress = Path<(String, String, String)>;

pub async fn all(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
) -> Answer<Json<Value>> {
    core.look(|world| Ok(Json(json!(world.machine(&caller.org, &app, &id)?.guest_metadata()))))
}

#[derive(Debug, Deserialize)]
pub struct Patch {
    metadata: BTreeMap<String, Option<String>>,
    #[serde(default)]
    machine_version: Option<String>,
}

pub async fn patch(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
    Body(patch): Body<Patch>,
) -> Answer<StatusCode> {
    change(&core, &caller, &app, &id, patch.machine_version.as_deref(), patch.metadata).await
}

pub async fn get(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id, key)): KeyAddress,
) -> Answer<Json<Value>> {
    core.look(|world| {
        let machine = world.machine(&caller.org, &app, &id)?;
        let value = machine.metadata(&key).ok_or_else(|| Refusal::missing(format!("no metadata {key:?}")))?;
        Ok(Json(json!({"value": value})))
    })
}

#[derive(Debug, Deserialize)]
pub struct Set {
    value: String,
}

pub async fn set(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id, key)): KeyAddress,
    Body(set): Body<Set>,
) -> Answer<StatusCode> {
    change(&core, &caller, &app, &id, None, [(key, Some(set.value))].into()).await
}

pub async fn delete(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id, key)): KeyAddress,
) -> Answer<StatusCode> {
    change(&core, &caller, &app, &id, None, [(key, None)].into()).await
}

async fn change(
    core: &Core,
    caller: &Caller,
    app: &str,
    id: &str,
    version: Option<&str>,
    values: BTreeMap<String, Option<String>>,
) -> Answer<StatusCode> {
    let changed = core.change(|changing| {
        let machine = changing.world.machine_mut(&caller.org, app, id)?;
        if version.is_some_and(|version| version != machine.version) {
            return Err(Refusal::precondition(format!("machine_version is not {}", machine.version)));
        }
        let mut metadata = machine.guest_metadata();
        for (key, value) in values {
            match value {
                Some(value) => metadata.insert(key, value),
                None => metadata.remove(&key),
            };
        }
        machine.config["metadata"] = json!(metadata);
        machine.updated_at = crate::clock::now();
        changing.note_machine(Event::Changed, id);
        Ok(())
    });
    changed.await?;
    Ok(StatusCode::NO_CONTENT)
}
