//! Container applications: which image and how many for the objects of a namespace.

use axum::Json;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Shared;
use crate::cloud::Cloud;
use crate::envelope::{Answer, ApiError, Success};
use crate::objects::{Application, DurableObjects, Instance, Namespace, Rollout, new_id};

type Id = Path<(String, String)>;

/// Of them all but the last decide image and size for all of an application.
const POLICIES: [&str; 3] = ["default", "regional", BY_OBJECT];
/// Each Durable Object decides them at a start; the application has none.
const BY_OBJECT: &str = "durable_object";
const OF_BY_OBJECT: [&str; 3] = ["name", "scheduling_policy", "durable_objects"];

#[derive(Deserialize)]
pub struct Filter {
    name: Option<String>,
    image: Option<String>,
}

pub async fn list(State(cloud): Shared, filter: Query<Filter>) -> Answer {
    let mut all = cloud.listed::<Application>(|application| application.created_at);
    all.retain(|application| {
        filter.name.as_ref().is_none_or(|name| *name == application.name)
            && filter.image.as_ref().is_none_or(|image| application.configuration["image"] == *image)
    });
    Success::of(all.iter().map(|application| shown(&cloud, application)).collect::<Vec<_>>())
}

pub async fn one(State(cloud): Shared, Path((_, id)): Id) -> Answer {
    Success::of(shown(&cloud, &find(&cloud, &id)?))
}

pub fn find(cloud: &Cloud, id: &str) -> Result<Application, ApiError> {
    cloud.journal.get(id).ok_or_else(|| ApiError::not_found(1000, "APPLICATION_NOT_FOUND"))
}

fn shown(cloud: &Cloud, application: &Application) -> Value {
    let running = instances_of(cloud, &application.id).len();
    let mut value = serde_json::to_value(application).unwrap_or_default();
    let counts = json!({"active": running, "healthy": running, "failed": 0, "scheduling": 0, "starting": 0});
    value["health"] = json!({"instances": counts, "errors": []});
    value
}

fn instances_of(cloud: &Cloud, application: &str) -> Vec<Instance> {
    let mut all = cloud.journal.all::<Instance>();
    all.retain(|instance| instance.application_id == application);
    all
}

#[derive(Deserialize)]
pub struct Create {
    name: String,
    #[serde(default = "default_policy")]
    scheduling_policy: String,
    #[serde(default)]
    instances: u64,
    max_instances: Option<u64>,
    #[serde(default)]
    configuration: Value,
    constraints: Option<Value>,
    durable_objects: Option<DurableObjects>,
    rollout_active_grace_period: Option<u64>,
}

fn default_policy() -> String {
    "default".to_owned()
}

pub async fn create(State(cloud): Shared, sent: Json<Value>) -> Answer {
    let _change = cloud.changes.lock().await;
    let refuse = |message: String| ApiError::bad_request(1000, message);
    let names: Vec<String> =
        sent.0.as_object().map(|sent| sent.keys().cloned().collect()).unwrap_or_default();
    let wanted: Create = serde_json::from_value(sent.0)?;
    let is_by_object = wanted.scheduling_policy == BY_OBJECT;
    if let Some(name) = names.iter().find(|name| is_by_object && !OF_BY_OBJECT.contains(&name.as_str())) {
        return Err(refuse(format!("VALIDATE_INPUT: {name} is not supported with the policy {BY_OBJECT}")));
    }
    if !POLICIES.contains(&wanted.scheduling_policy.as_str()) {
        return Err(refuse(format!(
            "VALIDATE_INPUT: the policy {} is not simulated",
            wanted.scheduling_policy
        )));
    }
    if !is_by_object && wanted.configuration["image"].as_str().unwrap_or_default().is_empty() {
        return Err(refuse("VALIDATE_INPUT: configuration.image is missing".to_owned()));
    }
    let Some(durable_objects) = wanted.durable_objects else {
        return Err(refuse(
            "VALIDATE_INPUT: applications without Durable Objects are not simulated".to_owned(),
        ));
    };
    if cloud.journal.get::<Namespace>(&durable_objects.namespace_id).is_none() {
        return Err(refuse("DURABLE_OBJECT_NOT_FOUND".to_owned()));
    }
    for other in cloud.journal.all::<Application>() {
        if other.name == wanted.name {
            return Err(ApiError::new(StatusCode::CONFLICT, 1000, "APPLICATION_NAME_ALREADY_EXISTS"));
        }
        if other.durable_objects.namespace_id == durable_objects.namespace_id {
            return Err(refuse("DURABLE_OBJECT_ALREADY_HAS_APPLICATION".to_owned()));
        }
    }
    let application = Application {
        id: uuid::Uuid::new_v4().to_string(),
        created_at: cloud.now(),
        account_id: cloud.options.account.clone(),
        name: wanted.name,
        version: 1,
        scheduling_policy: wanted.scheduling_policy,
        instances: wanted.instances,
        max_instances: wanted.max_instances,
        configuration: wanted.configuration,
        constraints: wanted.constraints,
        durable_objects,
        rollout_active_grace_period: wanted.rollout_active_grace_period,
        active_rollout_id: None,
    };
    cloud.journal.put(&application)?;
    Success::of(shown(&cloud, &application))
}

#[derive(Deserialize)]
pub struct Modify {
    instances: Option<u64>,
    max_instances: Option<u64>,
    constraints: Option<Value>,
    #[serde(default)]
    configuration: Map<String, Value>,
    rollout_active_grace_period: Option<u64>,
}

const MODIFIED: [&str; 5] =
    ["instances", "max_instances", "constraints", "configuration", "rollout_active_grace_period"];

/// Changes the numbers, and what new containers are of. What runs changes by a rollout only. What is not simulated may be sent
/// as it is, and is refused otherwise: nothing that is sent is left out without a word.
pub async fn modify(State(cloud): Shared, Path((_, id)): Id, sent: Json<Value>) -> Answer {
    let _change = cloud.changes.lock().await;
    let mut application = find(&cloud, &id)?;
    if application.is_by_object() {
        return Err(ApiError::bad_request(
            1000,
            "VALIDATE_INPUT: the policy durable_object has no such settings",
        ));
    }
    let now = serde_json::to_value(&application)?;
    for (name, value) in sent.0.as_object().into_iter().flatten() {
        if !MODIFIED.contains(&name.as_str()) && now[name] != *value {
            return Err(ApiError::bad_request(
                1000,
                format!("VALIDATE_INPUT: a change of {name} is not simulated"),
            ));
        }
    }
    let wanted: Modify = serde_json::from_value(sent.0)?;
    for (name, value) in wanted.configuration {
        application.configuration[name] = value;
    }
    application.instances = wanted.instances.unwrap_or(application.instances);
    application.max_instances = wanted.max_instances.or(application.max_instances);
    application.constraints = wanted.constraints.or(application.constraints);
    application.rollout_active_grace_period =
        wanted.rollout_active_grace_period.or(application.rollout_active_grace_period);
    cloud.journal.put(&application)?;
    Success::of(shown(&cloud, &application))
}

pub async fn remove(State(cloud): Shared, Path((_, id)): Id) -> Answer {
    let _change = cloud.changes.lock().await;
    find(&cloud, &id)?;
    cloud.machines.clear(&id).await;
    for rollout in cloud.journal.all::<Rollout>().into_iter().filter(|rollout| rollout.application_id == id) {
        cloud.journal.remove::<Rollout>(&rollout.id)?;
    }
    cloud.journal.remove::<Application>(&id)?;
    Success::of(Value::Null)
}

pub async fn dash(State(cloud): Shared) -> Answer {
    let all = cloud.listed::<Application>(|application| application.created_at);
    Success::of(all.iter().map(|application| shown(&cloud, application)).collect::<Vec<_>>())
}

pub async fn instances(State(cloud): Shared, Path((_, id)): Id) -> Answer {
    find(&cloud, &id)?;
    let shown = |instance: Instance| {
        json!({
            "id": instance.id,
            "deployment_id": new_id(),
            "placement_id": instance.container,
            "assigned_at": instance.assigned_at,
            "name": instance.id,
        })
    };
    let all: Vec<_> = instances_of(&cloud, &id).into_iter().map(shown).collect();
    Success::of(json!({"instances": [], "durable_objects": all}))
}
