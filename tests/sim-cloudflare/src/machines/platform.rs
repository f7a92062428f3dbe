//! What `platform.js` asks of the machines: snapshots of a file system, and commands. On a port of its own on loopback.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::StreamExt as _;
use http::StatusCode;
use serde::Deserialize;
use tokio::sync::watch;

use super::Machines;
use super::engine::Command;
use crate::objects::{Snapshot, new_id};

pub(super) struct Platform {
    machines: Arc<Machines>,
    /// Exit codes of commands, by the ids that their callers gave them.
    codes: Mutex<HashMap<String, watch::Receiver<Option<i64>>>>,
}

type Shared = State<Arc<Platform>>;

/// An error is text, which becomes the message of an exception.
type Answer<T> = Result<T, (StatusCode, String)>;

fn failed(error: impl ToString) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

pub(super) fn routes(machines: Arc<Machines>) -> Router {
    Router::new()
        .route("/{object}/snapshots", post(snapshot))
        .route("/{object}/exec/{id}", post(exec).get(exit_code))
        .with_state(Arc::new(Platform { machines, codes: Mutex::default() }))
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

async fn snapshot(platform: Shared, Path(object): Path<String>, body: String) -> Answer<Json<Snapshot>> {
    let machines = &platform.machines;
    let Named { name } = serde_json::from_str(&body).map_err(failed)?;
    let (application, live) = machines.of_object(&object).await.ok_or_else(|| failed("it does not run"))?;
    if !application.is_by_object() {
        return Err(failed(super::DEFAULT_POLICY));
    }
    if machines.snapshots_fail() {
        return Err(failed("Container snapshot failed"));
    }
    let id = new_id();
    let size = machines.engine.commit(&live.container, &id).await.map_err(failed)?;
    let now = jiff::Timestamp::now();
    let snapshot = Snapshot { id, name, size, image: live.image.clone(), created: now, used: now };
    machines.journal.put(&snapshot).map_err(failed)?;
    Ok(Json(snapshot))
}

#[derive(Deserialize)]
struct Call {
    call: String,
}

/// The answer's body is what the command writes, as it comes. One that is given input is answered when it has ended.
async fn exec(
    platform: Shared,
    Path((object, id)): Path<(String, String)>,
    Query(Call { call }): Query<Call>,
    input: Body,
) -> Answer<Response> {
    let machines = &platform.machines;
    let command: Command = serde_json::from_str(&call).map_err(failed)?;
    let (_, live) = machines.of_object(&object).await.ok_or_else(|| failed("it does not run"))?;
    let has_input = command.stdin;
    let (told, code) = watch::channel(None);
    platform.codes.lock().unwrap_or_else(PoisonError::into_inner).insert(id, code);
    let mut running = machines.engine.exec(&live.container, command).await.map_err(failed)?;
    if has_input {
        running.feed(input.into_data_stream()).await.map_err(failed)?;
    }
    let (engine, id) = (machines.clone(), running.id.clone());
    let end = futures_util::stream::once(async move {
        told.send_replace(Some(engine.engine.exit_code(&id).await));
        bytes::Bytes::new()
    });
    let output = running.output.chain(end);
    if has_input {
        let all: Vec<bytes::Bytes> = output.collect().await;
        return Ok(all.concat().into_response());
    }
    Ok(Body::from_stream(output.map(Ok::<_, std::convert::Infallible>)).into_response())
}

async fn exit_code(platform: Shared, Path((_, id)): Path<(String, String)>) -> Answer<String> {
    let code = platform.codes.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
    let mut code = code.ok_or_else(|| failed("there is no such command"))?;
    let code = code.wait_for(Option::is_some).await.map_err(failed)?;
    Ok(code.unwrap_or_default().to_string())
}
