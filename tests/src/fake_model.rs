//! A small model server for tests: OpenAI-compatible chat completions, no model behind it.
//!
//! OpenCode uses it like any provider, so that a whole run (prompt, tool call, answer) happens without
//! a network and always the same way. A prompt that contains `run-tool: COMMAND` makes the "model" call
//! the `bash` tool with COMMAND, and answer with text once it sees the tool's result. It must stay free
//! of anything of Pilot: it stands for the outside world.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

mod script;

use script::Turn;
pub use script::{ANSWER, DEFAULT_COMMAND, TOOL_ANSWER};

const MODEL: &str = "fake-model";

/// Long enough that chunks arrive one by one, short enough for tests.
const GAP: Duration = Duration::from_millis(15);

/// A running fake model. It ends when it is dropped.
pub struct FakeModel {
    address: SocketAddr,
    _server: AbortOnDropHandle<()>,
}

impl FakeModel {
    /// Serves on a free loopback port.
    pub async fn start() -> std::io::Result<Self> {
        Self::start_on(0).await
    }

    /// Serves on this loopback port; 0 takes a free one.
    pub async fn start_on(port: u16) -> std::io::Result<Self> {
        Self::serve(SocketAddr::from(([127, 0, 0, 1], port))).await
    }

    /// Serves on a free port of an address that containers reach.
    pub async fn start_at(address: std::net::IpAddr) -> std::io::Result<Self> {
        Self::serve(SocketAddr::from((address, 0))).await
    }

    async fn serve(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move {
            // `serve` ends only with the task.
            let _ = axum::serve(listener, app()).await;
        });
        Ok(Self { address, _server: AbortOnDropHandle::new(server) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a provider configuration takes as `baseURL`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

/// An `opencode.json` whose only model is the one at `base_url`. Titles use it as well
/// (`small_model`), else OpenCode would look for another provider.
pub fn opencode_config(base_url: &str) -> Value {
    json!({
        "$schema": "https://opencode.ai/config.json",
        "model": "fake/fake-model",
        "small_model": "fake/fake-model",
        "enabled_providers": ["fake"],
        "autoupdate": false,
        "share": "disabled",
        "provider": {"fake": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "Fake (local)",
            "options": {"baseURL": base_url, "apiKey": "sk-fake"},
            "models": {MODEL: {
                "name": "Fake Model",
                "tool_call": true,
                "limit": {"context": 32000, "output": 4096}
            }}
        }},
        "permission": {"edit": "allow", "bash": "allow", "webfetch": "deny"}
    })
}

fn app() -> Router {
    Router::new().route("/v1/models", get(models)).route("/v1/chat/completions", post(complete))
}

async fn models() -> Json<Value> {
    Json(json!({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "tests"}]}))
}

async fn complete(Json(request): Json<Value>) -> Response {
    let turn = script::turn(&request);
    if request["stream"].as_bool().unwrap_or(false) {
        let gap = GAP;
        let chunks = futures_util::stream::iter(stream_lines(&turn)).then(move |line| async move {
            tokio::time::sleep(gap).await;
            Ok::<_, std::convert::Infallible>(Bytes::from(line))
        });
        ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(chunks)).into_response()
    } else {
        Json(whole(&turn)).into_response()
    }
}

fn stream_lines(turn: &Turn) -> Vec<String> {
    let mut lines = vec![line(&chunk(json!({"role": "assistant", "content": ""}), Value::Null))];
    let finish = match turn {
        Turn::Say(text) => {
            lines.extend(
                text.split_inclusive(' ').map(|word| line(&chunk(json!({"content": word}), Value::Null))),
            );
            "stop"
        }
        Turn::RunTool(_) => {
            let mut call = tool_call(turn);
            call["index"] = json!(0);
            lines.push(line(&chunk(json!({"tool_calls": [call]}), Value::Null)));
            "tool_calls"
        }
    };
    lines.push(line(&chunk(json!({}), json!(finish))));
    let mut last = chunk(json!({}), Value::Null);
    last["choices"] = json!([]);
    last["usage"] = usage();
    lines.push(line(&last));
    lines.push("data: [DONE]\n\n".to_owned());
    lines
}

fn line(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}

fn chunk(delta: Value, finish_reason: Value) -> Value {
    json!({
        "id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    })
}

fn whole(turn: &Turn) -> Value {
    let (message, finish) = match turn {
        Turn::Say(text) => (json!({"role": "assistant", "content": text}), "stop"),
        Turn::RunTool(_) => {
            (json!({"role": "assistant", "content": null, "tool_calls": [tool_call(turn)]}), "tool_calls")
        }
    };
    json!({
        "id": "chatcmpl-fake", "object": "chat.completion", "created": 1, "model": MODEL, "usage": usage(),
        "choices": [{"index": 0, "message": message, "finish_reason": finish}]
    })
}

fn tool_call(turn: &Turn) -> Value {
    let command = match turn {
        Turn::RunTool(command) => command.as_str(),
        Turn::Say(_) => DEFAULT_COMMAND,
    };
    let arguments = json!({"command": command, "description": "Runs the command of the test"}).to_string();
    json!({"id": "call_1", "type": "function", "function": {"name": "bash", "arguments": arguments}})
}

fn usage() -> Value {
    json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
}

#[cfg(test)]
mod tests;
