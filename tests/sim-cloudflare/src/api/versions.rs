//! Versions of a script, and which one is deployed.

use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::Shared;
use super::scripts::{Named, bindings, find};
use crate::envelope::{Answer, ApiError, Success};
use crate::objects::Version;

fn shown(version: &Version) -> Value {
    json!({
        "id": version.id,
        "number": version.number,
        "metadata": {
            "created_on": version.created_on,
            "modified_on": version.created_on,
            "source": "api",
            "author_email": "simulated@example.com",
            "author_id": "",
            "has_preview": false,
        },
        "annotations": {"workers/triggered_by": "upload"},
    })
}

pub async fn list(State(cloud): Shared, Path((_, name)): Named) -> Answer {
    let script = find(&cloud, &name)?;
    Success::of(json!({"items": script.versions.iter().rev().map(shown).collect::<Vec<_>>()}))
}

pub async fn one(State(cloud): Shared, Path((_, name, id)): Path<(String, String, String)>) -> Answer {
    let script = find(&cloud, &name)?;
    let version = script.versions.iter().find(|version| version.id == id);
    let version = version.ok_or_else(|| ApiError::not_found(10221, "version not found"))?;
    let mut value = shown(version);
    value["resources"] = json!({
        "bindings": bindings(&cloud, &script),
        "script": {"etag": version.id, "handlers": ["fetch"], "last_deployed_from": "api"},
        "script_runtime": {
            "compatibility_date": version.compatibility_date,
            "compatibility_flags": version.compatibility_flags,
            "usage_model": "standard",
        },
    });
    Success::of(value)
}

pub async fn deployments(State(cloud): Shared, Path((_, name)): Named) -> Answer {
    let script = find(&cloud, &name)?;
    let deployment = |version: &Version| {
        json!({
            "id": version.id,
            "source": "api",
            "strategy": "percentage",
            "author_email": "simulated@example.com",
            "annotations": {},
            "versions": [{"version_id": version.id, "percentage": 100}],
            "created_on": version.created_on,
        })
    };
    Success::of(json!({"deployments": script.versions.iter().rev().map(deployment).collect::<Vec<_>>()}))
}
