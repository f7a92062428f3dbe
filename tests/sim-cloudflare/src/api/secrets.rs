//! Secrets of a script: written, named, never shown. Each change starts the script anew.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::scripts::{Named, find};
use crate::cloud::Cloud;
use crate::envelope::{Answer, ApiError, Success};
use crate::objects::Script;

pub async fn list(State(cloud): Shared, Path((_, name)): Named) -> Answer {
    let script = find(&cloud, &name)?;
    Success::of(
        script.secrets.iter().map(|name| json!({"name": name, "type": "secret_text"})).collect::<Vec<_>>(),
    )
}

#[derive(Deserialize)]
pub struct Secret {
    name: String,
    text: String,
}

pub async fn put(State(cloud): Shared, Path((_, name)): Named, secret: Json<Secret>) -> Answer {
    let _change = cloud.changes.lock().await;
    let script = find(&cloud, &name)?;
    let mut secrets = cloud.workers.secrets(&name);
    secrets.insert(secret.name.clone(), secret.text.clone());
    keep(&cloud, script, secrets).await?;
    Success::of(json!({"name": secret.name, "type": "secret_text"}))
}

pub async fn remove(State(cloud): Shared, Path((_, name, secret)): Path<(String, String, String)>) -> Answer {
    let _change = cloud.changes.lock().await;
    let script = find(&cloud, &name)?;
    let mut secrets = cloud.workers.secrets(&name);
    if secrets.remove(&secret).is_none() {
        return Err(ApiError::not_found(10056, "Binding not found"));
    }
    keep(&cloud, script, secrets).await?;
    Success::of(Value::Null)
}

async fn keep(
    cloud: &Cloud,
    mut script: Script,
    secrets: std::collections::HashMap<String, String>,
) -> Result<(), ApiError> {
    script.secrets = secrets.keys().cloned().collect();
    script.secrets.sort();
    cloud.workers.keep_secrets(&script.name, &secrets)?;
    cloud.journal.put(&script)?;
    let namespaces = cloud.namespaces(&script.name);
    let deployed = cloud.workers.deploy(&script, &namespaces, cloud.skew_seconds()).await;
    deployed.map_err(|error| ApiError::bad_request(10021, error.to_string()))
}
