//! The adapter of no instance at all: canned answers in OpenCode's v1 shapes.
//!
//! For UI work and for tests that need an instance's manners without OpenCode. Sessions live in memory
//! so that what was created can be listed and prompted; a prompt is answered at once, with the events a
//! client expects. It must never be used where a user expects an agent.

use std::time::Duration;

use async_trait::async_trait;
use contracts::Problem;
use contracts::identity::{RuntimeCapabilities, RuntimeHealth, RuntimeIdentity};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use proxy::Body;
use serde_json::{Value, json};

use crate::adapter::RuntimeAdapter;
use crate::status::Status;

mod events;
mod sessions;

use events::Events;
use sessions::Sessions;

const VERSION: &str = "mock";
const DIRECTORY: &str = "/workspace";

/// A body larger than this is refused; a mock keeps what it is told in memory.
const LARGEST_BODY: usize = 1024 * 1024;

/// Answers like a small OpenCode.
pub struct MockAdapter {
    identity: RuntimeIdentity,
    sessions: Sessions,
    events: Events,
}

impl MockAdapter {
    pub fn new(identity: RuntimeIdentity) -> Self {
        Self { identity, sessions: Sessions::default(), events: Events::new(Duration::from_secs(10)) }
    }

    async fn answer(&self, request: Request<Body>, path: &str) -> Answer {
        let method = request.method().clone();
        let body = match body_of(request).await {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        if let ["session", rest @ ..] = segments.as_slice() {
            return self.sessions.answer(&method, rest, &body, &self.events);
        }
        match (&method, segments.as_slice()) {
            (&Method::GET, _) => canned(path).map_or_else(|| not_found(path), Answer::json),
            (&Method::POST, ["log"]) => Answer::json(json!(true)),
            _ => not_found(path),
        }
    }
}

#[async_trait]
impl RuntimeAdapter for MockAdapter {
    fn identity(&self) -> RuntimeIdentity {
        self.identity.clone()
    }

    async fn capabilities(&self) -> RuntimeCapabilities {
        RuntimeCapabilities { fs: false, git: false, terminal: false, opencode: true }
    }

    async fn health(&self) -> RuntimeHealth {
        Status::ok(VERSION).health_of(self.identity.clone())
    }

    async fn proxy(&self, request: Request<Body>, target_path: &str) -> Result<Response<Body>, Problem> {
        let path = target_path.split('?').next().unwrap_or_default();
        Ok(match (request.method(), path) {
            (&Method::GET, "/event") => self.events.response(false),
            (&Method::GET, "/global/event") => self.events.response(true),
            (&Method::GET, "/") => page(),
            _ => self.answer(request, path).await.into_response(),
        })
    }
}

/// A status and a JSON value; no value is an empty body.
pub(crate) struct Answer {
    status: StatusCode,
    value: Option<Value>,
}

impl Answer {
    fn json(value: Value) -> Self {
        Self { status: StatusCode::OK, value: Some(value) }
    }

    fn empty() -> Self {
        Self { status: StatusCode::NO_CONTENT, value: None }
    }

    fn error(status: StatusCode, name: &str, message: &str) -> Self {
        Self { status, value: Some(json!({"name": name, "data": {"message": message}})) }
    }

    fn into_response(self) -> Response<Body> {
        let mut response = match self.value {
            Some(value) => with_type("application/json", proxy::full(value.to_string())),
            None => Response::new(proxy::empty()),
        };
        *response.status_mut() = self.status;
        response
    }
}

async fn body_of(request: Request<Body>) -> Result<Value, Answer> {
    let mut body = request.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| bad_request(&error.to_string()))?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        if bytes.len() > LARGEST_BODY {
            return Err(bad_request("the body is too large for a mock"));
        }
    }
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes).map_err(|error| bad_request(&error.to_string()))
}

fn bad_request(message: &str) -> Answer {
    Answer::error(StatusCode::BAD_REQUEST, "BadRequest", message)
}

fn not_found(path: &str) -> Answer {
    Answer::error(StatusCode::NOT_FOUND, "NotFoundError", &format!("the mock has no answer for {path}"))
}

fn page() -> Response<Body> {
    let text = "<!doctype html><title>Pilot mock</title><p>A mock instance: there is no OpenCode here.";
    with_type("text/html; charset=utf-8", proxy::full(text))
}

fn with_type(content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// What a UI reads at boot and what does not depend on sessions.
fn canned(path: &str) -> Option<Value> {
    let project =
        json!({"id": "mock", "worktree": DIRECTORY, "vcs": "git", "time": {"created": 1, "updated": 1}});
    let model = json!({"id": "mock-model", "providerID": "mock", "name": "Mock Model", "tool_call": true,
        "limit": {"context": 32000, "output": 4096}, "cost": {"input": 0, "output": 0}});
    let provider = json!({"id": "mock", "name": "Mock", "source": "config", "env": [], "options": {},
        "models": {"mock-model": model}});
    Some(match path {
        "/global/health" => json!({"healthy": true, "version": VERSION}),
        "/global/config" | "/config" => json!({"model": "mock/mock-model", "share": "disabled"}),
        "/config/providers" => json!({"providers": [provider], "default": {"mock": "mock-model"}}),
        "/provider" => json!({"all": [provider], "default": {"mock": "mock-model"}, "connected": ["mock"]}),
        "/path" => json!({"home": "/home/pilot", "state": "/home/pilot/.local/state/opencode",
            "config": "/home/pilot/.config/opencode", "worktree": DIRECTORY, "directory": DIRECTORY}),
        "/project" => json!([project]),
        "/project/current" => project,
        "/agent" => {
            json!([{"name": "build", "mode": "primary", "native": true, "permission": [], "options": {}}])
        }
        "/vcs" => json!({"branch": "main"}),
        "/file" => json!([{"name": "README.md", "path": "README.md", "absolute": "/workspace/README.md",
            "type": "file", "ignored": false}]),
        "/file/content" => json!({"type": "text", "content": "# Mock workspace\n"}),
        "/mcp" | "/provider/auth" => json!({}),
        "/command"
        | "/skill"
        | "/lsp"
        | "/formatter"
        | "/question"
        | "/permission"
        | "/pty"
        | "/pty/shells"
        | "/file/status"
        | "/find"
        | "/find/file"
        | "/find/symbol"
        | "/experimental/session"
        | "/experimental/tool/ids"
        | "/experimental/worktree"
        | "/vcs/status"
        | "/vcs/diff" => json!([]),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
