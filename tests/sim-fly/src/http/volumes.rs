//! Volumes and their snapshots.

use std::path::Path as FilePath;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::paging::{Query, Wanted};
use super::{Body, Caller};
use crate::core::Core;
use crate::error::{Answer, Refusal};
use crate::journal::Event;
use crate::world::{Snapshot, Volume};
use crate::{bend, clock, ids};

type Address = Path<(String, String)>;

#[derive(Debug, Deserialize)]
pub struct Create {
    name: String,
    #[serde(default)]
    region: String,
    size_gb: Option<u32>,
    encrypted: Option<bool>,
    fstype: Option<String>,
    snapshot_id: Option<String>,
    source_volume_id: Option<String>,
    snapshot_retention: Option<u32>,
    auto_backup_enabled: Option<bool>,
    compute: Option<Value>,
}

pub async fn create(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path(app): Path<String>,
    Body(create): Body<Create>,
) -> Answer<Json<Value>> {
    check(&create)?;
    let region = core.settings.regions.iter().find(|region| region.code == create.region);
    let region = region
        .ok_or_else(|| Refusal::bad(format!("invalid_argument: unknown region {:?}", create.region)))?;
    let id = ids::volume();
    let folder = core.volume_folder(&id);
    // Prepared before it is told, so that no volume is told without its folder.
    let from = source(&core, &caller, &app, &create)?;
    fill(&folder, from.as_deref()).map_err(disk)?;
    let made = core.change(|changing| {
        changing.world.app(&caller.org, &app)?;
        let used = changing.world.volumes.values().filter(|volume| volume.region == region.code).count();
        if region.capacity.is_some_and(|room| used >= room) {
            return Err(Refusal::bad("no capacity").because("volume_placement_capacity"));
        }
        let now = clock::now();
        let volume = Volume {
            id: id.clone(),
            app: app.clone(),
            name: create.name.clone(),
            region: region.code.clone(),
            state: "created".to_owned(),
            size_gb: create.size_gb.unwrap_or(3),
            encrypted: create.encrypted.unwrap_or(true),
            fstype: create.fstype.clone().unwrap_or_else(|| "ext4".to_owned()),
            snapshot_retention: create.snapshot_retention.unwrap_or(5),
            auto_backup_enabled: create.auto_backup_enabled.unwrap_or(true),
            has_compute_hint: create.compute.as_ref().is_some_and(Value::is_object),
            attached_machine: None,
            host_status: "ok".to_owned(),
            snapshots: Vec::new(),
            created_at: now,
            updated_at: now,
        };
        let view = volume.view();
        changing.world.app_mut(&caller.org, &app)?.volumes.insert(id.clone());
        changing.world.volumes.insert(id.clone(), volume);
        changing.note_volume(Event::Created, &id);
        Ok(view)
    });
    let made = made.await;
    if made.is_err() {
        let _ = std::fs::remove_dir_all(&folder);
    }
    made.map(Json)
}

fn check(create: &Create) -> Answer<()> {
    let letters =
        create.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if create.name.is_empty() || create.name.len() > 30 || !letters {
        return Err(Refusal::bad("invalid_argument: a volume's name is 1 to 30 of a-z, 0-9 and underscores"));
    }
    if !(1..=500).contains(&create.size_gb.unwrap_or(3)) {
        return Err(Refusal::bad("invalid_argument: size_gb must be between 1 and 500"));
    }
    if !(1..=60).contains(&create.snapshot_retention.unwrap_or(5)) {
        return Err(Refusal::bad("invalid_argument: snapshot_retention must be between 1 and 60"));
    }
    Ok(())
}

/// The folder whose files a new volume begins with.
fn source(core: &Core, caller: &Caller, app: &str, create: &Create) -> Answer<Option<std::path::PathBuf>> {
    core.look(|world| {
        if let Some(id) = &create.source_volume_id {
            return Ok(Some(core.volume_folder(&world.volume(&caller.org, app, id)?.id)));
        }
        let Some(id) = &create.snapshot_id else { return Ok(None) };
        let known =
            world.volumes.values().any(|volume| volume.snapshots.iter().any(|snapshot| snapshot.id == *id));
        match known {
            true => Ok(Some(core.snapshot_folder(id))),
            false => Err(Refusal::missing(format!("snapshot {id} not found"))),
        }
    })
}

fn fill(folder: &FilePath, from: Option<&FilePath>) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let Some(from) = from.filter(|from| from.exists()) else { return Ok(()) };
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = folder.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fill(&to, Some(&entry.path()))?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), to)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(entry.path())?, to)?;
        }
    }
    Ok(())
}

fn disk(error: std::io::Error) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the disk failed: {error}"))
}

pub async fn list(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path(app): Path<String>,
    query: Query,
) -> Answer<impl IntoResponse> {
    let wanted = Wanted::read(&query, 1000, true)?;
    core.look(|world| {
        let app = world.app(&caller.org, &app)?;
        let all = app.volumes.iter().filter_map(|id| world.volumes.get(id));
        let page = wanted.page(all.filter(|volume| bend::shows(volume.created_at)), |volume| &volume.id);
        let volumes: Vec<Value> = page.items.iter().map(|volume| volume.view()).collect();
        let mut headers = HeaderMap::new();
        if let Some(next) = page.next.and_then(|next| next.parse().ok()) {
            headers.insert("fly-next-cursor", next);
        }
        Ok((headers, Json(volumes)))
    })
}

pub async fn get(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
) -> Answer<Json<Value>> {
    core.look(|world| Ok(Json(world.volume(&caller.org, &app, &id)?.view())))
}

#[derive(Debug, Deserialize)]
pub struct Update {
    snapshot_retention: Option<u32>,
    auto_backup_enabled: Option<bool>,
}

pub async fn update(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
    Body(update): Body<Update>,
) -> Answer<Json<Value>> {
    let changed = change(&core, &caller, &app, &id, |volume| {
        volume.snapshot_retention = update.snapshot_retention.unwrap_or(volume.snapshot_retention);
        volume.auto_backup_enabled = update.auto_backup_enabled.unwrap_or(volume.auto_backup_enabled);
        Ok(volume.view())
    });
    changed.await.map(Json)
}

#[derive(Debug, Deserialize)]
pub struct Extend {
    size_gb: u32,
}

pub async fn extend(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
    Body(extend): Body<Extend>,
) -> Answer<Json<Value>> {
    let changed = change(&core, &caller, &app, &id, |volume| {
        if extend.size_gb < volume.size_gb || extend.size_gb > 500 {
            return Err(Refusal::bad(format!(
                "invalid_argument: a volume of {} GB cannot be made {} GB",
                volume.size_gb, extend.size_gb
            )));
        }
        volume.size_gb = extend.size_gb;
        Ok(json!({"volume": volume.view(), "needs_restart": false}))
    });
    changed.await.map(Json)
}

/// The volume is gone at once; its files with it.
pub async fn delete(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
) -> Answer<Json<Value>> {
    let gone = core.change(|changing| {
        let volume = changing.world.volume_mut(&caller.org, &app, &id)?;
        if let Some(machine) = &volume.attached_machine {
            return Err(Refusal::precondition(format!("volume {id} is attached to machine {machine}")));
        }
        volume.state = "pending_destroy".to_owned();
        let view = volume.view();
        changing.note_volume(Event::Gone, &id);
        changing.world.remove("volume", &id);
        Ok(view)
    });
    let view = gone.await?;
    std::fs::remove_dir_all(core.volume_folder(&id)).map_err(disk)?;
    Ok(Json(view))
}

pub async fn snapshots(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
) -> Answer<Json<Value>> {
    core.look(|world| {
        let volume = world.volume(&caller.org, &app, &id)?;
        Ok(Json(volume.snapshots.iter().map(|snapshot| snapshot.view(volume)).collect()))
    })
}

pub async fn snapshot(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Address,
) -> Answer<Json<Value>> {
    core.look(|world| world.volume(&caller.org, &app, &id).map(|_| ()))?;
    let snapshot = ids::snapshot();
    fill(&core.snapshot_folder(&snapshot), Some(&core.volume_folder(&id))).map_err(disk)?;
    let changed = change(&core, &caller, &app, &id, |volume| {
        volume.snapshots.push(Snapshot { id: snapshot, size: 0, created_at: clock::now() });
        Ok(volume.snapshots.last().map(|snapshot| snapshot.view(volume)).unwrap_or_default())
    });
    changed.await.map(Json)
}

async fn change(
    core: &Core,
    caller: &Caller,
    app: &str,
    id: &str,
    change: impl FnOnce(&mut Volume) -> Answer<Value>,
) -> Answer<Value> {
    let changed = core.change(|changing| {
        let volume = changing.world.volume_mut(&caller.org, app, id)?;
        let view = change(volume)?;
        volume.updated_at = clock::now();
        changing.note_volume(Event::Changed, id);
        Ok(view)
    });
    changed.await
}
