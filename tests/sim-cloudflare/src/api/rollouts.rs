//! Rollouts: the only way to another image or size. What runs is asked to end; its objects start anew.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::Shared;
use super::applications::find;
use crate::cloud::Cloud;
use crate::envelope::{Answer, ApiError, Success};
use crate::objects::{Application, Rollout, new_id};

type Id = Path<(String, String)>;

pub async fn list(State(cloud): Shared, Path((_, id)): Id) -> Answer {
    find(&cloud, &id)?;
    let mut all = cloud.journal.all::<Rollout>();
    all.retain(|rollout| rollout.application_id == id);
    Success::of(all)
}

pub async fn one(State(cloud): Shared, Path((_, _, id)): Path<(String, String, String)>) -> Answer {
    let rollout = cloud.journal.get::<Rollout>(&id);
    Success::of(rollout.ok_or_else(|| ApiError::not_found(1000, "ROLLOUT_NOT_FOUND"))?)
}

#[derive(Deserialize)]
pub struct Create {
    #[serde(default)]
    description: String,
    strategy: String,
    kind: String,
    target_configuration: Value,
    #[serde(default)]
    steps: Vec<Value>,
    step_percentage: Option<u32>,
}

/// To the end: the steps of a rollout differ in time only. One at a time.
pub async fn create(State(cloud): Shared, Path((_, id)): Id, wanted: Json<Create>) -> Answer {
    let change = cloud.changes.lock().await;
    let wanted = wanted.0;
    let mut application = find(&cloud, &id)?;
    if application.is_by_object() {
        return Err(ApiError::bad_request(1000, "VALIDATE_INPUT: the policy durable_object has no rollouts"));
    }
    if wanted.steps.is_empty() && wanted.step_percentage.is_none() {
        return Err(ApiError::bad_request(1000, "VALIDATE_INPUT: steps or step_percentage is needed"));
    }
    if wanted.target_configuration["image"].as_str().unwrap_or_default().is_empty() {
        return Err(ApiError::bad_request(1000, "VALIDATE_INPUT: target_configuration.image is missing"));
    }
    if application.active_rollout_id.is_some() {
        return Err(ApiError::new(StatusCode::CONFLICT, 1000, "ROLLOUT_IN_PROGRESS"));
    }
    let rollout = Rollout {
        id: new_id(),
        application_id: id.clone(),
        created_at: cloud.now(),
        description: wanted.description,
        strategy: wanted.strategy,
        kind: wanted.kind,
        status: "progressing".to_owned(),
        current_version: application.version,
        target_version: application.version + 1,
        target_configuration: wanted.target_configuration,
        steps: wanted.steps,
    };
    application.active_rollout_id = Some(rollout.id.clone());
    cloud.journal.put(&rollout)?;
    cloud.journal.put(&application)?;
    drop(change);
    match cloud.options.rollout_ms {
        0 => finish(&cloud, rollout.id.clone()).await?,
        ms => {
            let (cloud, id) = (cloud.clone(), rollout.id.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                finish(&cloud, id).await
            });
        }
    }
    Success::of(cloud.journal.get::<Rollout>(&rollout.id).unwrap_or(rollout))
}

async fn finish(cloud: &Cloud, id: String) -> Result<(), ApiError> {
    let _change = cloud.changes.lock().await;
    let Some(rollout) = cloud.journal.get::<Rollout>(&id) else { return Ok(()) };
    let Ok(application) = find(cloud, &rollout.application_id) else { return Ok(()) };
    cloud.journal.put(&Application {
        version: rollout.target_version,
        configuration: rollout.target_configuration.clone(),
        active_rollout_id: None,
        ..application
    })?;
    let application = rollout.application_id.clone();
    cloud.journal.put(&Rollout { status: "completed".to_owned(), ..rollout })?;
    cloud.machines.renew(&application).await;
    Ok(())
}
