//! Machines: create, list, read, update, wait.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::admission::{admit, attach, region, secrets_are_known};
use super::paging::{self, Query, Wanted};
use super::{Body, Caller, NONCE, control};
use crate::core::{Change, Core};
use crate::error::{Answer, Refusal};
use crate::journal::Event;
use crate::lifecycle::{self, stopping};
use crate::world::{Lease, Machine, State as MachineState};
use crate::{bend, clock, config, ids};

/// The longest that `wait` blocks.
const WAIT: Duration = Duration::from_secs(60);

#[derive(Debug, Deserialize)]
pub struct Create {
    #[serde(default)]
    name: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    config: Value,
    #[serde(default)]
    skip_launch: bool,
    #[serde(default)]
    skip_secrets: bool,
    #[serde(default)]
    lease_ttl: i64,
    #[serde(default)]
    min_secrets_version: Option<u64>,
    /// Only for an update: refuse when the machine has another version by now.
    #[serde(default)]
    current_version: Option<String>,
}

pub async fn create(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path(app): Path<String>,
    Body(create): Body<Create>,
) -> Answer<Json<Value>> {
    let made = core.change(|changing| {
        let (read, kept) = {
            changing.world.app(&caller.org, &app)?;
            config::accept(&create.config)?
        };
        let image_digest = core.settings.registry.resolve(&read.image)?;
        let region = region(&core, &create.region)?;
        let asked = (create.name.as_str(), create.min_secrets_version);
        admit(&core, changing.world, &caller.org, &app, asked, &region)?;
        let id = ids::machine();
        if let Some(mount) = read.mounts.first() {
            attach(&core, changing.world, &caller.org, &app, &mount.volume, &region, &id)?;
        }
        let network = changing.world.staying_app(&caller.org, &app)?.network.clone();
        let now = clock::now();
        let name = if create.name.is_empty() { format!("machine-{}", &id[..6]) } else { create.name.clone() };
        let mut machine = Machine {
            private_ip: ids::private_address(&network),
            app: app.clone(),
            name,
            region,
            state: MachineState::Created,
            version: ids::ulid(now),
            config: kept,
            image_digest,
            replaced: Vec::new(),
            cordoned: false,
            skip_secrets: create.skip_secrets,
            host_status: "ok".to_owned(),
            lease: None,
            events: Vec::new(),
            running: None,
            incarnation: 0,
            restarts: 0,
            created_at: now,
            updated_at: now,
            id: id.clone(),
        };
        machine.become_state(MachineState::Created, "launch", "user");
        let mut view = machine.view();
        if create.lease_ttl > 0 {
            let lease = Lease {
                nonce: ids::nonce(),
                owner: caller.org.clone(),
                description: "created with the machine".to_owned(),
                expires_at: now.as_second() + create.lease_ttl,
            };
            view["nonce"] = lease.nonce.clone().into();
            machine.lease = Some(lease);
        }
        if !create.skip_launch {
            machine.incarnation = 1;
            machine.become_state(MachineState::Starting, "start", "flyd");
        }
        changing.world.put_machine(machine);
        changing.note_machine(Event::Created, &id);
        if let Some(mount) = read.mounts.first() {
            changing.note_volume(Event::Changed, &mount.volume);
        }
        Ok((id, view))
    });
    let (id, view) = made.await?;
    if !create.skip_launch {
        tokio::spawn(lifecycle::boot(core, id, 1));
    }
    Ok(Json(view))
}

pub async fn list(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path(app): Path<String>,
    query: Query,
) -> Answer<impl IntoResponse> {
    let wanted = Wanted::read(&query, 1000, true)?;
    let filter = Filter::read(&query);
    let summary = paging::says_yes(&query, "summary");
    core.look(|world| {
        let app = world.app(&caller.org, &app)?;
        let page = wanted
            .page(world.machines_of(app).filter(|machine| filter.wants(machine)), |machine| &machine.id);
        let view = |machine: &&Machine| if summary { machine.summary() } else { machine.view() };
        let machines: Vec<Value> = page.items.iter().map(view).collect();
        let mut headers = HeaderMap::new();
        if let Some(next) = page.next.and_then(|next| next.parse().ok()) {
            headers.insert("fly-next-cursor", next);
        }
        Ok((headers, Json(machines)))
    })
}

/// Which machines a list shows.
pub struct Filter {
    deleted: bool,
    region: Option<String>,
    states: Vec<String>,
    metadata: Vec<(String, String)>,
}

impl Filter {
    pub fn read(query: &std::collections::HashMap<String, String>) -> Self {
        let metadata = query
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix("metadata.")?.to_owned(), value.clone())));
        Self {
            deleted: paging::says_yes(query, "include_deleted"),
            region: query.get("region").filter(|region| !region.is_empty()).cloned(),
            states: paging::words(query, "state"),
            metadata: metadata.collect(),
        }
    }

    pub fn wants(&self, machine: &Machine) -> bool {
        let is_gone = matches!(machine.state, MachineState::Destroyed);
        (self.deleted || !is_gone)
            && bend::shows(machine.created_at)
            && self.region.as_ref().is_none_or(|region| *region == machine.region)
            && (self.states.is_empty() || self.states.iter().any(|state| state == machine.state.word()))
            && self.metadata.iter().all(|(key, value)| machine.metadata(key) == Some(value))
    }
}

pub async fn get(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Path<(String, String)>,
    query: Query,
) -> Answer<Json<Value>> {
    core.look(|world| {
        let machine = world.machine(&caller.org, &app, &id)?;
        let mut view = machine.view();
        if let Some(version) = query.get("version").filter(|version| **version != machine.version) {
            let old = machine.replaced.iter().find(|(known, _)| known == version);
            let (version, config) = old.ok_or_else(|| Refusal::missing("machine version not found"))?;
            view["state"] = "replaced".into();
            view["version"] = version.clone().into();
            view["instance_id"] = version.clone().into();
            view["config"] = config.clone();
        }
        if paging::says_yes(&query, "include_leases")
            && let Some(lease) = machine.living_lease()
        {
            view["lease"] = json!({"owner": lease.owner, "expires_at": lease.expires_at, "description": lease.description});
        }
        Ok(Json(view))
    })
}

/// A new version of the whole configuration; what runs is restarted with it.
pub async fn update(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Path<(String, String)>,
    headers: HeaderMap,
    Body(update): Body<Create>,
) -> Answer<Json<Value>> {
    let nonce = headers.get(NONCE).and_then(|nonce| nonce.to_str().ok());
    let updated = core.change(|changing| {
        let (read, kept) = config::accept(&update.config)?;
        let image_digest = core.settings.registry.resolve(&read.image)?;
        let secrets = changing.world.app(&caller.org, &app)?.secrets_version;
        let machine = changing.world.machine_mut(&caller.org, &app, &id)?;
        check_update(machine, nonce, &update, &read)?;
        secrets_are_known(secrets, update.min_secrets_version)?;
        let ending = control::ending_of(&config::read(&machine.config)?, &Value::Null, &Value::Null)?;
        let now = clock::now();
        let (old, old_config) =
            (std::mem::replace(&mut machine.version, ids::ulid(now)), machine.config.clone());
        machine.replaced.push((old, old_config));
        (machine.config, machine.image_digest) = (kept, image_digest);
        machine.skip_secrets = update.skip_secrets;
        machine.restarts = 0;
        machine.become_state(MachineState::Replacing, "update", "user");
        Ok((noted(changing, &id), ending))
    });
    let (view, ending) = updated.await?;
    tokio::spawn(stopping::replace(core, id, ending, !update.skip_launch));
    Ok(Json(view))
}

fn check_update(
    machine: &Machine,
    nonce: Option<&str>,
    update: &Create,
    read: &config::Config,
) -> Answer<()> {
    machine.must_hold_lease(nonce)?;
    if update.current_version.as_ref().is_some_and(|version| *version != machine.version) {
        let words = format!("aborted: machine version is {}, not the given current_version", machine.version);
        return Err(Refusal::conflict(words));
    }
    if !machine.state.is_settled() || machine.state == MachineState::Destroyed {
        let words = format!("unable to update machine from current state: '{}'", machine.state.word());
        return Err(Refusal::precondition(words));
    }
    if (!update.region.is_empty() && update.region != machine.region)
        || (!update.name.is_empty() && update.name != machine.name)
    {
        return Err(Refusal::bad("invalid_argument: region and name of a machine cannot be changed"));
    }
    let volume = |config: &config::Config| config.mounts.first().map(|mount| mount.volume.clone());
    if volume(read) != volume(&config::read(&machine.config)?) {
        return Err(Refusal::bad("invalid_argument: the volume of a machine cannot be changed"));
    }
    Ok(())
}

fn noted(changing: &mut Change<'_>, id: &str) -> Value {
    changing.note_machine(Event::Changed, id);
    changing.world.machines.get(id).map(Machine::view).unwrap_or_default()
}

pub async fn wait(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Path<(String, String)>,
    query: Query,
    RawQuery(raw): RawQuery,
) -> Answer<Json<Value>> {
    let raw = raw.unwrap_or_default();
    // The parameter may be repeated, which a map does not keep.
    let mut states: Vec<String> = raw
        .split('&')
        .filter_map(|pair| pair.strip_prefix("state="))
        .flat_map(|value| value.split([',']).flat_map(|word| word.split("%2C")))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    if states.is_empty() {
        states.push("started".to_owned());
    }
    if let Some(unknown) = states.iter().find(|state| !MachineState::may_be_awaited(state)) {
        return Err(Refusal::bad(format!("invalid_argument: cannot wait for the state {unknown:?}")));
    }
    let version = query.get("version").or_else(|| query.get("instance_id"));
    let version = version.filter(|version| !version.is_empty()).cloned();
    if version.is_none() && states.iter().any(|state| state == "stopped") {
        return Err(Refusal::bad("invalid_argument: instance_id is required to wait for stopped"));
    }
    let limit = match query.get("timeout") {
        None => WAIT,
        Some(text) => control::duration(&Value::String(text.clone()))
            .filter(|limit| !limit.is_zero())
            .ok_or_else(|| Refusal::bad("invalid_argument: timeout must be a number of seconds"))?,
    };
    let wanted = lifecycle::Wanted { states, version };
    lifecycle::wait(&core, &caller.org, &app, &id, &wanted, limit.min(WAIT)).await.map(Json)
}

pub async fn events(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Path<(String, String)>,
    query: Query,
) -> Answer<Json<Value>> {
    let limit = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(20).min(50);
    core.look(|world| {
        let machine = world.machine(&caller.org, &app, &id)?;
        Ok(Json(json!(machine.events.iter().take(limit).collect::<Vec<_>>())))
    })
}

pub async fn versions(
    State(core): State<Arc<Core>>,
    Extension(caller): Extension<Caller>,
    Path((app, id)): Path<(String, String)>,
) -> Answer<Json<Value>> {
    core.look(|world| {
        let machine = world.machine(&caller.org, &app, &id)?;
        let newest = (machine.version.clone(), machine.config.clone());
        let all = std::iter::once(&newest).chain(machine.replaced.iter().rev());
        let view = |(version, config): &(String, Value)| json!({"version": version, "user_config": config});
        Ok(Json(Value::Array(all.map(view).collect())))
    })
}
