//! Scripts: what there is, on which host name, and their end.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use crate::cloud::Cloud;
use crate::envelope::{Answer, ApiError, Page, Success};
use crate::objects::{Application, Namespace, Script};

pub type Named = Path<(String, String)>;

pub fn find(cloud: &Cloud, name: &str) -> Result<Script, ApiError> {
    let none = || ApiError::not_found(10007, "This Worker does not exist on your account.");
    cloud.journal.get::<Script>(name).ok_or_else(none)
}

/// How a script is shown in lists.
pub fn shown(script: &Script) -> Value {
    json!({
        "id": script.name,
        "etag": script.current().map(|version| version.id.clone()),
        "tag": script.name,
        "tags": script.tags,
        "created_on": script.created_on,
        "modified_on": script.modified_on,
        "migration_tag": script.migration_tag,
        "handlers": ["fetch"],
        "usage_model": "standard",
        "compatibility_date": script.current().map(|version| version.compatibility_date.clone()),
        "last_deployed_from": "api",
    })
}

pub async fn service(State(cloud): Shared, Path((_, name)): Named) -> Answer {
    let Some(script) = cloud.journal.get::<Script>(&name) else {
        return Err(ApiError::not_found(10090, "This service does not exist on your account."));
    };
    let environment = json!({
        "environment": "production",
        "created_on": script.created_on,
        "modified_on": script.modified_on,
        "script": shown(&script),
    });
    Success::of(json!({
        "id": script.name,
        "default_environment": environment,
        "environments": [environment],
        "created_on": script.created_on,
        "modified_on": script.modified_on,
    }))
}

pub async fn list(State(cloud): Shared) -> Answer {
    let scripts = cloud.listed::<Script>(|script| script.created_on);
    Success::of(scripts.iter().map(shown).collect::<Vec<_>>())
}

pub async fn settings(State(cloud): Shared, Path((_, name)): Named) -> Answer {
    let script = find(&cloud, &name)?;
    let version = script.current();
    Success::of(json!({
        "bindings": bindings(&cloud, &script),
        "compatibility_date": version.map(|version| version.compatibility_date.clone()),
        "compatibility_flags": version.map(|version| version.compatibility_flags.clone()),
        "tags": script.tags,
        "migration_tag": script.migration_tag,
        "usage_model": "standard",
        "logpush": false,
        "tail_consumers": [],
        "observability": {"enabled": false},
        "placement": {},
    }))
}

/// With the namespaces of Durable Objects, without the texts of secrets.
pub fn bindings(cloud: &Cloud, script: &Script) -> Vec<Value> {
    let namespaces = cloud.namespaces(&script.name);
    let mut all = script.current().map(|version| version.bindings.clone()).unwrap_or_default();
    for binding in &mut all {
        if let Some(namespace) = namespaces.iter().find(|namespace| binding["class_name"] == namespace.class)
        {
            binding["namespace_id"] = namespace.id.clone().into();
        }
    }
    let secret = |name: &String| json!({"name": name, "type": "secret_text"});
    all.extend(script.secrets.iter().map(secret));
    all
}

#[derive(Deserialize)]
pub struct OnSubdomain {
    enabled: bool,
}

pub async fn on_subdomain(State(cloud): Shared, Path((_, name)): Named) -> Answer {
    let script = find(&cloud, &name)?;
    Success::of(json!({"enabled": script.on_subdomain.is_some(), "previews_enabled": false}))
}

pub async fn set_on_subdomain(
    State(cloud): Shared,
    Path((_, name)): Named,
    wanted: Json<OnSubdomain>,
) -> Answer {
    let _change = cloud.changes.lock().await;
    let mut script = find(&cloud, &name)?;
    script.on_subdomain = wanted.enabled.then(|| script.on_subdomain.unwrap_or_else(|| cloud.now()));
    cloud.journal.put(&script)?;
    Success::of(json!({"enabled": wanted.enabled, "previews_enabled": false}))
}

/// Who else uses the script: nobody can here.
pub async fn references(State(cloud): Shared, Path((_, name)): Named) -> Answer {
    find(&cloud, &name)?;
    Success::of(
        json!({"services": {"incoming": [], "outgoing": []}, "durable_objects": [], "dispatch_outbounds": []}),
    )
}

pub async fn namespaces(State(cloud): Shared, page: Query<Page>) -> Answer {
    let shown = |namespace: Namespace| {
        json!({
            "id": namespace.id,
            "name": format!("{}_{}", namespace.script, namespace.class),
            "script": namespace.script,
            "class": namespace.class,
            "use_sqlite": namespace.use_sqlite,
        })
    };
    let all: Vec<_> = cloud.journal.all::<Namespace>().into_iter().map(shown).collect();
    Success::page(&all, &page)
}

/// The script with its Durable Objects and whatever runs for them. Its applications stay, bound to
/// nothing, until they are deleted themselves.
pub async fn remove(State(cloud): Shared, Path((_, name)): Named) -> Answer {
    let _change = cloud.changes.lock().await;
    find(&cloud, &name)?;
    let namespaces = cloud.namespaces(&name);
    cloud.workers.remove(&name).await;
    end_containers(&cloud, &namespaces).await;
    for namespace in namespaces {
        cloud.journal.remove::<Namespace>(&namespace.id)?;
    }
    cloud.journal.remove::<Script>(&name)?;
    Success::of(Value::Null)
}

/// Objects that are deleted take their containers with them.
pub async fn end_containers(cloud: &Arc<Cloud>, namespaces: &[Namespace]) {
    let ids: BTreeSet<&str> = namespaces.iter().map(|namespace| namespace.id.as_str()).collect();
    for application in cloud.journal.all::<Application>() {
        if ids.contains(application.durable_objects.namespace_id.as_str()) {
            cloud.machines.clear(&application.id).await;
        }
    }
}
