//! The init with the real OpenCode and a fake model: one prompt from end to end, a crash, a stop.
//!
//! Engine class: the OpenCode binary must be there. Without it these tests fail; they never skip.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper fails its test")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use contracts::assertion::Surface;
use contracts::headers::ASSERTION;
use contracts::identity::HealthStatus;
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tests::fake_model::{FakeModel, opencode_config};

#[path = "support/events.rs"]
mod events;
#[path = "support/instance.rs"]
mod instance;
#[path = "support/repository.rs"]
mod repository;
#[path = "support/signer.rs"]
mod signer;
#[path = "support/websocket.rs"]
mod websocket;

use events::Events;
use instance::{Instance, Setup, eventually};

const SOON: Duration = Duration::from_secs(30);

/// Where the pinned OpenCode is kept, as `cargo xtask` installs it.
fn opencode() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let tools = variable("PILOT_TOOLS")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("pilot/tools")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/pilot/tools")))
        .expect("PILOT_TOOLS, XDG_CACHE_HOME or HOME is set");
    let binary = tools.join("opencode-1.18.33/opencode");
    assert!(
        binary.exists(),
        "OpenCode is not installed: {} is missing; `cargo xtask test` installs it",
        binary.display()
    );
    binary
}

fn setup(model: &FakeModel) -> Setup {
    Setup { opencode_config: Some(opencode_config(&model.base_url())), ..Setup::with(opencode()) }
}

async fn create_session(instance: &Instance) -> String {
    let (status, session) = instance.api(Method::POST, "/api/session", json!({"title": "e2e"})).await;
    assert_eq!(status, 200, "{session}");
    session["id"].as_str().unwrap().to_owned()
}

fn prompt(text: &str) -> Value {
    json!({"parts": [{"type": "text", "text": text}]})
}

#[tokio::test]
async fn a_prompt_runs_a_tool_in_the_cloned_workspace_and_its_events_arrive_live() {
    let model = FakeModel::start().await.unwrap();
    let origin = tempfile::tempdir().unwrap();
    let url = repository::create(origin.path());
    let instance = setup(&model).argument(format!("--git-url={url}")).start();
    let health = instance.wait_for(HealthStatus::Ok).await;
    assert_eq!(health.open_code.version.as_deref(), Some("1.18.33"));
    assert!(instance.workspace().join("hello.txt").exists(), "the repository is there");

    let (_, capabilities) = instance.api(Method::GET, "/api/capabilities", Value::Null).await;
    assert_eq!(capabilities, json!({"fs": false, "git": false, "terminal": false, "opencode": true}));

    let mut events = Events::open(&instance, "/api/event").await;
    events.until("server.connected", SOON).await;
    let session = create_session(&instance).await;
    let file = instance.workspace().join("tool.txt");
    let path = format!("/api/session/{session}/prompt_async");
    let (status, _) =
        instance.api(Method::POST, &path, prompt("run-tool: sleep 1; echo tool-ran > tool.txt")).await;
    assert_eq!(status, 204);

    events.until("session.status", SOON).await;
    assert!(!file.exists(), "the event is here before the tool has finished");
    events.until("message.part.delta", SOON).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "tool-ran\n");
    events.until("session.idle", SOON).await;

    let (_, messages) =
        instance.api(Method::GET, &format!("/api/session/{session}/message"), Value::Null).await;
    let text = messages.to_string();
    assert!(text.contains("The tool ran.") && text.contains("run-tool"), "{text}");
}

#[tokio::test]
async fn only_the_gateways_requests_for_this_runtime_pass_and_only_to_known_routes() {
    let model = FakeModel::start().await.unwrap();
    let instance = setup(&model).start();
    instance.wait_for(HealthStatus::Ok).await;

    let bare = instance.bare(Method::GET, "/api/session").send().await.unwrap();
    assert_eq!(bare.status(), 401);
    assert!(!bare.headers().contains_key("www-authenticate"));
    let foreign = instance.token("rt-other", Surface::Api);
    let request = instance.bare(Method::GET, "/api/session").header(ASSERTION, foreign);
    assert_eq!(request.send().await.unwrap().status(), 401);

    for (path, status, code) in [
        ("/api/nonexistent-route", 404, "not_found"),
        ("/api/global/upgrade", 404, "not_found"),
        ("/api/session/%2e%2e/tui/publish", 404, "not_found"),
        ("/api/session/ses_1/nonexistent", 502, "opencode_unexpected"),
        ("/api/terminal/create", 501, "capability_unsupported"),
    ] {
        let (got, problem) = instance.api(Method::GET, path, Value::Null).await;
        assert_eq!((got, &problem["code"]), (status, &json!(code)), "{path}");
    }
    // OpenCode's own errors pass through as they are.
    let (status, error) = instance.api(Method::GET, "/api/session/ses_nope", Value::Null).await;
    assert_eq!((status, &error["name"]), (404, &json!("NotFoundError")));

    let page = instance.request(Surface::Ui, Method::GET, "/").send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let direct = reqwest::Client::builder().no_proxy().build().unwrap();
    let direct =
        direct.get(format!("http://127.0.0.1:{}/session", instance.opencode_port)).send().await.unwrap();
    assert_eq!(direct.status(), 401, "OpenCode itself asks for the password");
}

#[tokio::test]
async fn a_terminal_of_opencode_works_through_the_websocket() {
    let model = FakeModel::start().await.unwrap();
    let instance = setup(&model).start();
    instance.wait_for(HealthStatus::Ok).await;
    let (status, pty) = instance.api(Method::POST, "/api/pty", json!({"command": "/bin/sh"})).await;
    assert_eq!(status, 200, "{pty}");
    let path = format!("/api/pty/{}/connect", pty["id"].as_str().unwrap());
    let mut socket = websocket::connect(&instance, Surface::Api, &path).await;
    socket.send_text("echo $((40+2))-pty\n").await;
    socket.until_text("42-pty", SOON).await;
}

#[tokio::test]
async fn a_boot_downloads_nothing() {
    let model = FakeModel::start().await.unwrap();
    let instance = setup(&model).start();
    instance.wait_for(HealthStatus::Ok).await;
    // The first request in a folder is what makes OpenCode look for its package; the whole prompt that
    // follows takes longer than its decision.
    let session = create_session(&instance).await;
    let (status, _) =
        instance.api(Method::POST, &format!("/api/session/{session}/message"), prompt("hi")).await;
    assert_eq!(status, 200);
    let modules = instance.home.path().join(".config/opencode/node_modules");
    assert_eq!(std::fs::read_dir(modules).unwrap().count(), 0);
    assert!(!instance.home.path().join(".npm").exists(), "npm was not used");
}

#[tokio::test]
async fn opencode_is_started_again_after_it_dies_and_requests_wait_for_it() {
    let model = FakeModel::start().await.unwrap();
    let instance = setup(&model).start();
    instance.wait_for(HealthStatus::Ok).await;
    let session = create_session(&instance).await;
    let first = instance.opencode_pid().unwrap();

    kill_process(Pid::from_raw(first).unwrap(), Signal::KILL).unwrap();
    instance.wait_for(HealthStatus::Degraded).await;
    assert_eq!(instance.bare(Method::GET, "/health").send().await.unwrap().status(), 503);

    // Held while OpenCode starts; on a busy machine that takes longer than a request is held.
    let path = format!("/api/session/{session}");
    let history = eventually("the session", SOON, async || {
        let (status, body) = instance.api(Method::GET, &path, Value::Null).await;
        assert!(status == 200 || body["code"] == "opencode_unavailable", "{status} {body}");
        (status == 200).then_some(body)
    });
    assert_eq!(history.await.expect("the session is still there")["title"], "e2e");
    instance.wait_for(HealthStatus::Ok).await;
    assert_ne!(instance.opencode_pid(), Some(first));
}

#[tokio::test]
async fn a_stop_leaves_no_process_not_even_a_detached_tool() {
    let model = FakeModel::start().await.unwrap();
    let mut instance = setup(&model).start();
    instance.wait_for(HealthStatus::Ok).await;
    let session = create_session(&instance).await;
    let text = "run-tool: setsid sleep 300 >/dev/null 2>&1 & echo started > tool.txt";
    let (status, _) =
        instance.api(Method::POST, &format!("/api/session/{session}/prompt_async"), prompt(text)).await;
    assert_eq!(status, 204);
    let file = instance.workspace().join("tool.txt");
    eventually("the tool", SOON, async || file.exists().then_some(())).await.expect("the tool runs");
    // A process that is just becoming another program shows no variables.
    eventually("all processes", SOON, async || (instance.labelled().len() >= 3).then_some(()))
        .await
        .expect("instance, OpenCode and the detached tool");

    // A stream that is open does not hold the stop.
    let _events = Events::open(&instance, "/api/global/event").await;
    let began = Instant::now();
    instance.signal(Signal::TERM);
    let status = instance.wait_for_end(Duration::from_secs(8)).await.expect("it ends in time");
    assert_eq!(status.code(), Some(0), "log:\n{}", instance.log());
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert_eq!(instance.labelled(), Vec::<i32>::new());
}
