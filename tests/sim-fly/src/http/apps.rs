//! `/v1/apps` and the addresses of an application.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::paging::{self, Query, Wanted};
use super::{Body, Caller};
use crate::bend;
use crate::core::Core;
use crate::error::{Answer, Refusal};
use crate::journal::Event;
use crate::lifecycle::stopping;
use crate::world::{Address, App, State as MachineState};
use crate::{clock, ids};

/// Longer names are no DNS labels.
const NAME: usize = 63;

#[derive(Debug, Deserialize)]
pub struct Create {
    /// `app_name` is what older documents say.
    #[serde(default, alias = "app_name")]
    name: String,
    #[serde(default)]
    org_slug: String,
    #[serde(default)]
    network: String,
    #[serde(default)]
    idempotency_key: Option<String>,
}

pub async fn create(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    query: Query,
    Body(create): Body<Create>,
) -> Answer<(StatusCode, Json<Value>)> {
    if create.org_slug != caller.org {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "unauthorized"));
    }
    check_name(&create.name)?;
    let app = core.change(|changing| {
        let world = &mut *changing.world;
        let key = create.idempotency_key.clone().filter(|key| !key.is_empty());
        if let Some(made) = key.as_ref().and_then(|key| world.keys.get(&(caller.org.clone(), key.clone()))) {
            if world.apps.get(made).is_some_and(|app| app.deleting) {
                return Err(taken());
            }
            if *made != create.name {
                let words = "idempotency key was used for an app of another name";
                return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, words));
            }
            return Ok(world.app(&caller.org, made)?.clone());
        }
        if world.apps.contains_key(&create.name) {
            return Err(taken());
        }
        let app = App {
            id: ids::machine(),
            name: create.name.clone(),
            org: caller.org.clone(),
            network: if create.network.is_empty() { "default".to_owned() } else { create.network.clone() },
            idempotency_key: key.clone(),
            created_at: clock::now(),
            secrets_version: 0,
            secrets: Default::default(),
            addresses: Vec::new(),
            deleting: false,
            machines: Default::default(),
            names: Default::default(),
            volumes: Default::default(),
        };
        if let Some(key) = key {
            world.keys.insert((caller.org.clone(), key), app.name.clone());
        }
        world.apps.insert(app.name.clone(), app.clone());
        changing.note_app(Event::Created, &app.name);
        Ok(app)
    });
    let app = app.await?;
    let short = json!({"id": app.id, "created_at": app.created_at.as_millisecond()});
    let body = if paging::says_yes(&query, "wait") { app.view() } else { short };
    Ok((StatusCode::CREATED, Json(body)))
}

fn taken() -> Refusal {
    let words = "Validation failed: Name has already been taken";
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, words).because("name_taken")
}

fn check_name(name: &str) -> Answer<()> {
    let letters = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if name.is_empty() || name.len() > NAME || !letters || name.starts_with('-') || name.ends_with('-') {
        let words = "Validation failed: Name must be 1 to 63 of a-z, 0-9 and dashes";
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, words));
    }
    Ok(())
}

pub async fn list(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    query: Query,
) -> Answer<Json<Value>> {
    let org = query.get("org_slug").ok_or_else(|| Refusal::bad("org_slug is required"))?;
    if *org != caller.org {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "unauthorized"));
    }
    let wanted = Wanted::read(&query, 5000, true)?;
    Ok(core.look(|world| {
        let all = || world.apps.values().filter(|app| app.org == *org && bend::shows(app.created_at));
        let page = wanted.page(all(), |app| &app.name);
        let apps: Vec<_> = page.items.iter().map(|app| app.view()).collect();
        let mut answer = json!({"apps": apps, "total_apps": all().count()});
        if let Some(next) = page.next {
            answer["next_cursor"] = next.into();
        }
        Json(answer)
    }))
}

pub async fn get(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path(app): Path<String>,
) -> Answer<Json<Value>> {
    core.look(|world| {
        let app = world.app(&caller.org, &app)?;
        if !bend::shows(app.created_at) {
            return Err(Refusal::missing("app not found"));
        }
        Ok(Json(app.view()))
    })
}

/// Everything of the application goes with it, a while after the answer.
pub async fn delete(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Answer<StatusCode> {
    let first = core.change(|changing| {
        let app = changing.world.app_mut(&caller.org, &name)?;
        if std::mem::replace(&mut app.deleting, true) {
            return Ok(None);
        }
        let machines = app.machines.clone();
        changing.note_app(Event::Changed, &name);
        let mut ended = Vec::new();
        for id in machines {
            if let Some(machine) = changing.world.machines.get_mut(&id)
                && machine.state != MachineState::Destroyed
            {
                machine.become_state(MachineState::Destroying, "destroy", "user");
                ended.push(id.clone());
            }
            changing.note_machine(Event::Changed, &id);
        }
        Ok(Some(ended))
    });
    let Some(machines) = first.await? else { return Ok(StatusCode::ACCEPTED) };
    for machine in machines {
        tokio::spawn(stopping::destroy(core.clone(), machine));
    }
    if core.settings.delays.app_delete.is_zero() {
        bury(core, name).await;
    } else {
        tokio::spawn(bury(core, name));
    }
    Ok(StatusCode::ACCEPTED)
}

/// Ends the deletion of an application.
pub async fn bury(core: Arc<Core>, name: String) {
    tokio::time::sleep(core.settings.delays.app_delete).await;
    let gone = core.change(|changing| {
        let volumes = changing.world.apps.get(&name).map(|app| app.volumes.clone()).unwrap_or_default();
        for id in &volumes {
            changing.note_volume(Event::Gone, id);
            changing.world.remove("volume", id);
        }
        changing.note_app(Event::Gone, &name);
        changing.world.remove("app", &name);
        Ok(volumes)
    });
    let Ok(volumes) = gone.await else { return };
    core.secrets.forget(&name);
    for volume in volumes {
        // A program that is just ending may still hold files of it.
        let _ = std::fs::remove_dir_all(core.volume_folder(&volume));
    }
}

#[derive(Debug, Deserialize)]
pub struct Assign {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    network: String,
    #[serde(default)]
    service_name: String,
}

pub async fn assign(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Body(assign): Body<Assign>,
) -> Answer<Json<Value>> {
    let address = core.change(|changing| {
        let app = changing.world.app_mut(&caller.org, &name)?;
        let [a, b, c]: [u8; 3] = rand::random();
        let ip = match assign.kind.as_str() {
            "v4" | "shared_v4" | "egress_v4" => format!("66.{a}.{b}.{c}"),
            "v6" | "egress_v6" | "egress_pair" => format!("2a09:8280:1::{a:x}:{b:x}{c:02x}:0"),
            "private_v6" if assign.network.is_empty() => ids::private_address(&app.network),
            "private_v6" => ids::private_address(&assign.network),
            other => return Err(Refusal::bad(format!("unknown type of address {other:?}"))),
        };
        let own_network = if assign.network.is_empty() { &app.network } else { &assign.network };
        let address = Address {
            kind: assign.kind.clone(),
            ip,
            region: if assign.region.is_empty() { "global".to_owned() } else { assign.region.clone() },
            shared: assign.kind == "shared_v4",
            service_name: assign.service_name.clone(),
            network: (assign.kind == "private_v6").then(|| own_network.clone()),
            created_at: clock::now(),
        };
        app.addresses.push(address.clone());
        changing.note_app(Event::Changed, &name);
        Ok(address)
    });
    Ok(Json(address.await?.view(&caller.org)))
}

pub async fn addresses(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path(app): Path<String>,
) -> Answer<Json<Value>> {
    core.look(|world| {
        let app = world.app(&caller.org, &app)?;
        let ips: Vec<_> = app.addresses.iter().map(|address| address.view(&caller.org)).collect();
        Ok(Json(json!({"ips": ips})))
    })
}

pub async fn release(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((name, ip)): Path<(String, String)>,
) -> Answer<StatusCode> {
    let released = core.change(|changing| {
        let app = changing.world.app_mut(&caller.org, &name)?;
        let before = app.addresses.len();
        app.addresses.retain(|address| address.ip != ip);
        if app.addresses.len() == before {
            return Err(Refusal::missing("no such address"));
        }
        changing.note_app(Event::Changed, &name);
        Ok(())
    });
    released.await?;
    Ok(StatusCode::NO_CONTENT)
}
