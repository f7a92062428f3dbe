//! `PUT .../workers/scripts/{script}`: metadata and modules in, a running version out.

use std::collections::{BTreeMap, HashMap};

use axum::body::Body;
use axum::extract::{Path, State};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::migrations::{self, Migrations};
use super::scripts::{Named, end_containers, shown};
use crate::cloud::Cloud;
use crate::envelope::{Answer, ApiError, Success};
use crate::objects::{Namespace, Script, Version};

const KNOWN_BINDINGS: [&str; 4] = ["plain_text", "json", "durable_object_namespace", "secret_text"];

#[derive(Debug, Deserialize)]
struct Metadata {
    main_module: String,
    #[serde(default)]
    bindings: Vec<Value>,
    #[serde(default)]
    keep_bindings: Vec<String>,
    #[serde(default)]
    containers: Vec<Container>,
    compatibility_date: String,
    #[serde(default)]
    compatibility_flags: Vec<String>,
    migrations: Option<Migrations>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Container {
    class_name: String,
}

struct Part {
    name: String,
    kind: &'static str,
    content: Bytes,
}

pub async fn upload(State(cloud): Shared, Path((_, name)): Named, headers: HeaderMap, body: Body) -> Answer {
    let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > 63 || !name.bytes().all(valid) {
        return Err(ApiError::bad_request(10016, "Invalid script name"));
    }
    let (metadata, parts) = read(&headers, body).await?;
    let _change = cloud.changes.lock().await;
    let before = cloud.journal.get::<Script>(&name);
    let (script, namespaces, secrets) = next(&cloud, &name, before.as_ref(), metadata, &parts)?;
    let Some(version) = script.current() else { return Err(ApiError::bad_request(10021, "no version")) };
    for (number, part) in parts.iter().enumerate() {
        let file = cloud.workers.module(&name, &version.id, number);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, &part.content)?;
    }
    let old_secrets = cloud.workers.secrets(&name);
    cloud.workers.keep_secrets(&name, &secrets)?;
    if let Err(error) = cloud.workers.deploy(&script, &namespaces, cloud.skew_seconds()).await {
        cloud.workers.keep_secrets(&name, &old_secrets)?;
        return Err(ApiError::bad_request(10021, format!("{error:#}")));
    }
    let (gone, kept): (Vec<Namespace>, Vec<Namespace>) = cloud
        .namespaces(&name)
        .into_iter()
        .partition(|old| !namespaces.iter().any(|namespace| namespace.id == old.id));
    drop(kept);
    end_containers(&cloud, &gone).await;
    for namespace in gone {
        cloud.journal.remove::<Namespace>(&namespace.id)?;
    }
    for namespace in &namespaces {
        cloud.journal.put(namespace)?;
    }
    cloud.journal.put(&script)?;
    let mut result = shown(&script);
    result["deployment_id"] = json!(script.current().map(|version| version.id.clone()));
    result["startup_time_ms"] = json!(10);
    result["available_on_subdomain"] = json!(script.on_subdomain.is_some());
    Success::of(result)
}

async fn read(headers: &HeaderMap, body: Body) -> Result<(Metadata, Vec<Part>), ApiError> {
    let unreadable = |error: multer::Error| ApiError::bad_request(10001, error.to_string());
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(unreadable)?;
    let mut multipart = multer::Multipart::new(body.into_data_stream(), boundary);
    let (mut metadata, mut parts) = (None, Vec::new());
    while let Some(field) = multipart.next_field().await.map_err(unreadable)? {
        let name = field.name().unwrap_or_default().to_owned();
        let kind = field.content_type().map(ToString::to_string).unwrap_or_default();
        let content = field.bytes().await.map_err(unreadable)?;
        if name == "metadata" {
            metadata = Some(serde_json::from_slice(&content)?);
        } else {
            parts.push(Part { kind: module_kind(&name, &kind)?, name, content });
        }
    }
    let missing = || ApiError::bad_request(10021, "No metadata part was uploaded");
    Ok((metadata.ok_or_else(missing)?, parts))
}

/// A member of workerd's union of modules.
fn module_kind(name: &str, content_type: &str) -> Result<&'static str, ApiError> {
    match content_type.split(';').next().unwrap_or_default() {
        "application/javascript+module" | "text/javascript+module" => Ok("esModule"),
        "application/json" => Ok("json"),
        "application/wasm" => Ok("wasm"),
        "text/plain" => Ok("text"),
        "application/octet-stream" => Ok("data"),
        other => Err(ApiError::bad_request(10021, format!("the part {name} has the type {other:?}"))),
    }
}

type Next = (Script, Vec<Namespace>, HashMap<String, String>);

/// What the upload makes of the script. Nothing is changed here.
fn next(
    cloud: &Cloud,
    name: &str,
    before: Option<&Script>,
    metadata: Metadata,
    parts: &[Part],
) -> Result<Next, ApiError> {
    if !parts.iter().any(|part| part.name == metadata.main_module) {
        return Err(ApiError::bad_request(10021, format!("No such module: {}", metadata.main_module)));
    }
    let tag = before.and_then(|script| script.migration_tag.clone());
    let (namespaces, tag) = migrations::apply(metadata.migrations, name, tag, cloud.namespaces(name))?;
    let kept = metadata.keep_bindings.iter().any(|kind| kind == "secret_text");
    let old = cloud.workers.secrets(name);
    let mut secrets = if kept { old.clone() } else { HashMap::new() };
    let mut bindings: BTreeMap<String, Value> = BTreeMap::new();
    for binding in metadata.bindings {
        let text = |field: &str| binding[field].as_str().unwrap_or_default().to_owned();
        let (bound, kind) = (text("name"), text("type"));
        match kind.as_str() {
            "secret_text" => drop(secrets.insert(bound, text("text"))),
            "inherit" => match (old.get(&bound), inherited(before, &bound)) {
                (Some(secret), _) => drop(secrets.insert(bound, secret.clone())),
                (None, Some(binding)) => drop(bindings.insert(bound, binding)),
                (None, None) => {
                    let message = format!("the binding {bound} cannot be inherited: there is none");
                    return Err(ApiError::bad_request(10057, message));
                }
            },
            known if KNOWN_BINDINGS.contains(&known) => drop(bindings.insert(bound, binding)),
            other => {
                return Err(ApiError::bad_request(
                    10021,
                    format!("bindings of type {other} are not simulated"),
                ));
            }
        }
    }
    let bound = bindings.values().filter_map(|binding| binding["class_name"].as_str());
    let containers: Vec<String> =
        metadata.containers.into_iter().map(|container| container.class_name).collect();
    for class in bound.chain(containers.iter().map(String::as_str)) {
        if !namespaces.iter().any(|namespace| namespace.class == class) {
            let message = format!(
                "Cannot create binding for class '{class}' because it is not currently configured to implement \
                 Durable Objects."
            );
            return Err(ApiError::bad_request(10061, message));
        }
    }
    let now = cloud.now();
    let version = Version {
        id: uuid::Uuid::new_v4().to_string(),
        number: before.and_then(Script::current).map_or(1, |version| version.number + 1),
        created_on: now,
        main_module: metadata.main_module,
        modules: parts.iter().map(|part| format!("{} {}", part.kind, part.name)).collect(),
        compatibility_date: metadata.compatibility_date,
        compatibility_flags: metadata.compatibility_flags,
        bindings: bindings.into_values().collect(),
        containers,
    };
    let mut versions = before.map(|script| script.versions.clone()).unwrap_or_default();
    versions.push(version);
    let mut names: Vec<String> = secrets.keys().cloned().collect();
    names.sort();
    let script = Script {
        name: name.to_owned(),
        created_on: before.map_or(now, |script| script.created_on),
        modified_on: now,
        migration_tag: tag,
        on_subdomain: before.and_then(|script| script.on_subdomain),
        tags: metadata.tags,
        secrets: names,
        versions,
    };
    Ok((script, namespaces, secrets))
}

fn inherited(before: Option<&Script>, name: &str) -> Option<Value> {
    let bindings = &before?.current()?.bindings;
    bindings.iter().find(|binding| binding["name"] == name).cloned()
}
