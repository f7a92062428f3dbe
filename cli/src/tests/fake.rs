//! A server that knows one workspace, and a terminal that remembers what it was shown.

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use clap::Parser;
use contracts::{ErrorCode, Problem};
use serde_json::{Value, json};

use crate::args::Args;
use crate::ui::Ui;
use crate::{Outcome, run};

mod documents;
use documents::{AT, operation};
pub use documents::{create_events, event, workspace};

/// What the server will say, and what it was asked.
#[derive(Default)]
pub struct Script {
    /// Each opening of the event stream gets the next part; the last one is repeated.
    pub streams: Vec<String>,
    pub opened: Vec<Option<String>>,
    pub asked: Vec<String>,
    pub bodies: Vec<Value>,
    pub deleted: bool,
    pub state: &'static str,
    pub drift: bool,
    pub damage: bool,
    /// The operation runs, and then it was asked to end.
    pub running: bool,
    pub canceled: bool,
    /// What is listed after the one workspace; a page has two.
    pub more: Vec<Value>,
    /// One state for each look at the workspace; the last one stays.
    pub states: VecDeque<&'static str>,
    /// One end of the log for each look, of an instance that has ended behind `ended:`; after them the usual one, or
    /// nothing at all any more.
    pub logs: VecDeque<String>,
    pub ends: bool,
    /// What every request with a token gets, with status 409.
    pub problem: Option<String>,
    /// What one workspace has beside the usual.
    pub with: Value,
    /// Of its home.
    pub disk: Value,
}

pub type Shared = Arc<Mutex<Script>>;

/// Starts the server; it listens on a free port as long as the test runs.
pub async fn server() -> (SocketAddr, Shared) {
    let (router, script) = router();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, script)
}

/// The server without a listener.
pub fn router() -> (Router, Shared) {
    let script = Shared::default();
    script.lock().unwrap().state = "ready";
    let router = Router::new()
        .route("/health", routing::get(|| async { "{}" }))
        .route("/v1/workspaces", routing::get(list).post(create))
        .route("/v1/workspaces/{slug}", routing::get(get).delete(delete))
        .route("/v1/workspaces/{slug}/why", routing::get(why))
        .route("/v1/workspaces/{slug}/disk", routing::get(disk))
        .route("/v1/workspaces/{slug}/stop", routing::post(stop))
        .route("/v1/workspaces/{slug}/restart", routing::post(ready))
        .route("/v1/workspaces/{slug}/apply", routing::post(ready))
        .route("/v1/workspaces/{slug}/update", routing::post(update))
        .route("/v1/workspaces/{slug}/rename", routing::post(rename))
        .route("/v1/workspaces/{slug}/logs", routing::get(super::logs::answer))
        .route("/v1/workspaces/{slug}/egress", routing::get(super::egress::answer))
        .route("/v1/workspaces/{slug}/exec", routing::post(super::exec::answer))
        .route("/v1/workspaces/{slug}/stack", routing::get(stack))
        .route("/v1/workspaces/{slug}/stack/repair", routing::post(repair))
        .route("/v1/workspaces/{slug}/stack/state", routing::put(import))
        .route("/v1/workspaces/{slug}/preview", routing::post(plan))
        .route("/v1/preview", routing::post(plan))
        .route("/v1/providers", routing::get(providers))
        .route("/v1/providers/{name}/images", routing::post(super::image::answer))
        .route("/v1/usage", routing::get(usage))
        .route("/v1/operations", routing::get(operations))
        .route("/v1/operations/{id}", routing::get(show_operation))
        .route("/v1/operations/{id}/cancel", routing::post(cancel))
        .route("/v1/operations/{id}/events", routing::get(events))
        .route("/api/auth/links", routing::post(link))
        .layer(axum::middleware::from_fn_with_state(script.clone(), remember))
        .with_state(script.clone());
    (router, script)
}

/// What a command did.
pub struct Shown {
    pub result: Result<Outcome, Problem>,
    pub out: String,
    pub err: String,
}

/// Runs a command line against a server, as a program would.
pub async fn pilot(server: SocketAddr, line: &str) -> Shown {
    let data = data_with_token();
    let url = format!("http://{server}");
    pilot_with(data.path(), line, &["--server", &url, "--gateway", &url]).await
}

/// A data folder whose server takes these tests' token.
pub fn data_with_token() -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    std::fs::create_dir(data.path().join("secrets")).unwrap();
    std::fs::write(data.path().join("secrets/admin-token"), "secret\n").unwrap();
    data
}

/// Runs a command line with a data folder, contexts in it, and nothing else but what the line says.
pub async fn pilot_with(data: &FilePath, line: &str, more: &[&str]) -> Shown {
    pilot_hearing("", data, line, more).await
}

/// The same, with something to read on stdin.
pub async fn pilot_hearing(input: &'static str, data: &FilePath, line: &str, more: &[&str]) -> Shown {
    let config = data.join("config");
    let words = ["pilot", "--data", data.to_str().unwrap(), "--config", config.to_str().unwrap()].into_iter();
    let args =
        Args::try_parse_from(words.chain(line.split_whitespace()).chain(more.iter().copied())).unwrap();
    let (out, err) = (Memory::default(), Memory::default());
    let mut ui = Ui::captured(args.json, Box::new(out.clone()), Box::new(err.clone())).hearing(input);
    let result = run(args, &mut ui).await;
    if let Err(problem) = &result {
        ui.problem(problem);
    }
    Shown { result, out: out.text(), err: err.text() }
}

#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn operations() -> Json<Value> {
    let mut failed = operation();
    failed["state"] = json!("failed");
    failed["error"] = json!(Problem::new(ErrorCode::GitNotFound, "No ref nope."));
    Json(json!({"operations": [operation(), failed], "next": "op-0"}))
}

async fn show_operation(State(script): State<Shared>) -> Json<Value> {
    let script = script.lock().unwrap();
    let mut operation = operation();
    match (script.running, script.canceled) {
        (true, false) => operation["state"] = json!("running"),
        (true, true) => operation["state"] = json!("canceled"),
        _ => {}
    }
    Json(operation)
}

async fn cancel(State(script): State<Shared>) -> Response {
    let mut operation = operation();
    let mut script = script.lock().unwrap();
    if script.running {
        operation["state"] = json!("running");
    }
    script.canceled = true;
    (StatusCode::ACCEPTED, Json(operation)).into_response()
}

fn accepted(script: &Script) -> Response {
    let answer = json!({"workspace": workspace(script.state), "operation": operation()});
    (StatusCode::ACCEPTED, Json(answer)).into_response()
}

async fn remember(State(script): State<Shared>, request: Request, next: axum::middleware::Next) -> Response {
    let line = format!("{} {}", request.method(), request.uri());
    let token = request.headers().get("authorization").cloned();
    script.lock().unwrap().asked.push(line);
    if token.is_none_or(|token| token != "Bearer secret") && request.uri().path() != "/health" {
        let problem = Problem::new(ErrorCode::Unauthorized, "No.").with_action("Log in.");
        return (StatusCode::UNAUTHORIZED, Json(problem)).into_response();
    }
    if request.method() != "GET" && request.uri().path().starts_with("/v1/workspaces/nothing") {
        let problem = Problem::new(ErrorCode::WorkspaceNotFound, "There is no workspace nothing.");
        return (StatusCode::NOT_FOUND, Json(problem)).into_response();
    }
    let problem = script.lock().unwrap().problem.clone();
    match problem {
        Some(problem) => (StatusCode::CONFLICT, problem).into_response(),
        None => next.run(request).await,
    }
}

async fn create(State(script): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    assert!(headers.contains_key("idempotency-key"));
    let mut script = script.lock().unwrap();
    script.bodies.push(body);
    accepted(&script)
}

async fn stop(State(script): State<Shared>, Path(slug): Path<String>) -> Response {
    if ["nothing", "ws_9"].contains(&slug.as_str()) {
        let problem = Problem::new(ErrorCode::WorkspaceNotFound, "There is no workspace nothing.");
        return (StatusCode::NOT_FOUND, Json(problem)).into_response();
    }
    let mut script = script.lock().unwrap();
    script.state = "stopped";
    accepted(&script)
}

async fn why(State(script): State<Shared>) -> Json<Value> {
    let asked =
        json!({"at": format!("{AT}0Z"), "principal": "reconciler", "action": "start", "requestId": "req-1"});
    let mut failed = operation();
    failed["state"] = json!("failed");
    failed["error"] = json!(Problem::new(ErrorCode::ProviderCapacity, "Full."));
    let workspace = workspace(script.lock().unwrap().state);
    let (disk, egress) = {
        let script = script.lock().unwrap();
        (script.disk.clone(), script.with["egress"].clone())
    };
    let next = "A start in about 20s.";
    Json(
        json!({"workspace": workspace, "asked": [asked], "operations": [failed], "next": next, "disk": disk, "egress": egress}),
    )
}

async fn disk(State(script): State<Shared>) -> Json<Value> {
    Json(json!({"disk": script.lock().unwrap().disk}))
}

async fn delete(State(script): State<Shared>) -> Response {
    let mut script = script.lock().unwrap();
    // What has a time until when its home is kept is there by its id.
    script.deleted = script.with["homeUntil"].is_null();
    accepted(&script)
}

async fn list(State(script): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let script = script.lock().unwrap();
    let first = if script.deleted { vec![] } else { vec![workspace(script.state)] };
    let all: Vec<_> = first.iter().chain(&script.more).collect();
    let start = query.get("cursor").map_or(0, |cursor| cursor.parse().unwrap());
    let end = all.len().min(start + 2);
    let mut page = json!({ "workspaces": all[start..end] });
    if end < all.len() {
        page["next"] = json!(end.to_string());
    }
    Json(page)
}

async fn ready(State(script): State<Shared>) -> Response {
    let mut script = script.lock().unwrap();
    script.state = "ready";
    accepted(&script)
}

async fn update(State(script): State<Shared>, Json(body): Json<Value>) -> Response {
    let mut script = script.lock().unwrap();
    script.bodies.push(body);
    accepted(&script)
}

async fn rename(State(script): State<Shared>, Json(body): Json<Value>) -> Json<Value> {
    let mut script = script.lock().unwrap();
    let mut renamed = workspace(script.state);
    renamed["slug"] = body["slug"].clone();
    script.bodies.push(body);
    Json(renamed)
}

async fn get(State(script): State<Shared>, Path(slug): Path<String>) -> Response {
    let mut script = script.lock().unwrap();
    if let Some(state) = script.states.pop_front() {
        script.state = state;
        script.deleted = state == "deleted";
    }
    if script.state == "away" {
        let problem = Problem::new(ErrorCode::StoreUnavailable, "Away.");
        return (StatusCode::SERVICE_UNAVAILABLE, Json(problem)).into_response();
    }
    if script.deleted || !["demo", "ws_1"].contains(&slug.as_str()) {
        let problem = Problem::new(ErrorCode::WorkspaceNotFound, format!("There is no workspace {slug}."))
            .with_action("`pilot ws ls` lists the workspaces.")
            .with_request_id("req-7");
        return (StatusCode::NOT_FOUND, Json(problem)).into_response();
    }
    let mut workspace = workspace(script.state);
    if let (Value::Object(workspace), Value::Object(with)) = (&mut workspace, script.with.clone()) {
        workspace.extend(with);
    }
    Json(workspace).into_response()
}

async fn events(State(script): State<Shared>, headers: HeaderMap) -> Response {
    let mut script = script.lock().unwrap();
    script.opened.push(headers.get("last-event-id").map(|id| id.to_str().unwrap().to_owned()));
    let index = (script.opened.len() - 1).min(script.streams.len() - 1);
    ([("content-type", "text/event-stream")], script.streams[index].clone()).into_response()
}

async fn plan(State(script): State<Shared>) -> Json<Value> {
    let op = if script.lock().unwrap().drift { "update" } else { "same" };
    let step = json!({"op": op, "name": "home", "resourceType": "pilot:local:Directory", "diffs": ["path"]});
    Json(json!({"stack": "rt-1", "steps": [step], "changes": {op: 1}}))
}

async fn repair(State(script): State<Shared>, Json(asked): Json<Value>) -> Json<Value> {
    if !script.lock().unwrap().damage {
        return Json(json!({"stack": "rt-1", "exact": false, "resources": 0, "done": false}));
    }
    let mut repair = json!({"stack": "rt-1", "problem": "it is empty", "damaged": "s.json", "copy": "s.json.bak",
        "time": "2026-11-29T00:00:00Z", "exact": false, "resources": 3, "done": false});
    if asked["apply"] == true {
        repair["kept"] = json!("s.json.corrupt-1");
        repair["done"] = json!(true);
    }
    Json(repair)
}

async fn import(State(script): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Json<Value> {
    assert!(headers.contains_key("idempotency-key"));
    script.lock().unwrap().bodies.push(body);
    Json(json!({"stack": "rt-1", "resources": 4, "kept": "/data/pulumi/replaced/rt-1.x.json"}))
}

async fn stack() -> Json<Value> {
    Json(json!({"stack": "rt-1", "files": {"Pulumi.yaml": "name: pilot\n", "env.sh": "export A=1\n"}}))
}

/// Two pages; the second knows until when the first was.
async fn usage(Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let mut lines = json!([{"workspaceId": "ws_1", "slug": "demo", "owner": "ada", "provider": "local", "size": "host", "seconds": 5400}]);
    let to = format!("{AT}9Z");
    if query.contains_key("cursor") {
        assert_eq!(query.get("to"), Some(&to));
        lines = json!([
            {"workspaceId": "ws_2", "provider": "docker", "size": "small", "seconds": 10},
            {"workspaceId": "ws_3", "slug": "base", "owner": "ada", "provider": "docker", "size": "small", "seconds": 36},
        ]);
        return Json(json!({"to": to, "usage": lines}));
    }
    Json(json!({"from": query.get("from"), "to": to, "usage": lines, "next": "x"}))
}

async fn providers() -> Json<Value> {
    let size = json!({"name": "small", "memoryMib": 512, "cpuMillis": 1500, "diskMib": 10_240, "hourlyMicroUsd": 8200});
    let can =
        json!({"suspend": true, "persistentHome": true, "logs": false, "exec": false, "snapshot": false});
    let mut takes = can.clone();
    (takes["push"], takes["image"]) = (json!(true), json!(true));
    let region = json!({"name": "ams", "title": "Amsterdam"});
    let local = json!({"name": "local", "summary": "processes", "isolation": "none", "sizes": [size],
        "regions": [region], "capabilities": takes, "default": true});
    let bare = json!({"name": "bare", "summary": "no images", "isolation": "none", "sizes": [],
        "capabilities": can, "default": false});
    Json(json!({ "providers": [local, bare] }))
}

async fn link() -> Json<Value> {
    Json(json!({"url": "http://demo.localhost:1/_pilot/login?code=x", "expiresInSeconds": 600}))
}
