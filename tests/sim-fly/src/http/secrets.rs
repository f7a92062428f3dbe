//! An application's secrets. Values come in and never go out.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Caller};
use crate::clock;
use crate::core::Core;
use crate::error::{Answer, Refusal};
use crate::journal::Event;
use crate::secrets::digest_of;
use crate::world::{App, SecretMark};

pub async fn list(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path(app): Path<String>,
) -> Answer<Json<Value>> {
    core.look(|world| Ok(Json(json!({"secrets": views(world.app(&caller.org, &app)?)}))))
}

pub async fn get(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, name)): Path<(String, String)>,
) -> Answer<Json<Value>> {
    core.look(|world| {
        let mark = world.app(&caller.org, &app)?.secrets.get(&name);
        let mark = mark.ok_or_else(|| Refusal::missing(format!("secret {name} not found")))?;
        Ok(Json(mark.view(&name)))
    })
}

#[derive(Debug, Deserialize)]
pub struct Update {
    values: BTreeMap<String, Option<String>>,
}

pub async fn update(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path(app): Path<String>,
    Body(update): Body<Update>,
) -> Answer<Json<Value>> {
    let changed = change(&core, &caller, &app, update.values).await?;
    Ok(Json(json!({"version": changed.secrets_version, "secrets": views(&changed)})))
}

#[derive(Debug, Deserialize)]
pub struct Set {
    value: String,
}

pub async fn set(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, name)): Path<(String, String)>,
    Body(set): Body<Set>,
) -> Answer<(StatusCode, Json<Value>)> {
    let changed = change(&core, &caller, &app, [(name.clone(), Some(set.value))].into()).await?;
    let mut view = changed.secrets.get(&name).map(|mark| mark.view(&name)).unwrap_or_default();
    view["version"] = changed.secrets_version.into();
    Ok((StatusCode::CREATED, Json(view)))
}

pub async fn delete(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, name)): Path<(String, String)>,
) -> Answer<Json<Value>> {
    let changed = change(&core, &caller, &app, [(name, None)].into()).await?;
    Ok(Json(json!({"version": changed.secrets_version})))
}

fn views(app: &App) -> Vec<Value> {
    app.secrets.iter().map(|(name, mark)| mark.view(name)).collect()
}

async fn change(
    core: &Core,
    caller: &Caller,
    app: &str,
    values: BTreeMap<String, Option<String>>,
) -> Answer<App> {
    let is_name = |name: &String| {
        let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        letters && !name.is_empty() && !name.as_bytes()[0].is_ascii_digit()
    };
    if let Some(bad) = values.keys().find(|name| !is_name(name)) {
        return Err(Refusal::bad(format!("invalid_argument: {bad:?} is not a name of a secret")));
    }
    let changed = core.change(|changing| {
        let app = changing.world.app_mut(&caller.org, app)?;
        // Written while nobody else can change them; the file is small.
        let mut kept = core.secrets.of(&app.name).map_err(disk)?;
        let now = clock::now();
        for (name, value) in values {
            let Some(value) = value else {
                kept.remove(&name);
                app.secrets.remove(&name);
                continue;
            };
            let created_at = app.secrets.get(&name).map_or(now, |mark| mark.created_at);
            let mark = SecretMark { digest: digest_of(&value), created_at, updated_at: now };
            app.secrets.insert(name.clone(), mark);
            kept.insert(name, value);
        }
        core.secrets.put(&app.name, &kept).map_err(disk)?;
        app.secrets_version += 1;
        let changed = app.clone();
        changing.note_app(Event::Changed, &changed.name);
        Ok(changed)
    });
    changed.await
}

fn disk(error: std::io::Error) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the secrets cannot be kept: {error}"))
}
