//! The main job: from a workspace request to an agent that answers, and all the way back to nothing.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::repo::Repo;
use crate::support::sse::Events;
use crate::support::world::{World, docker_address};

#[tokio::test]
async fn a_local_workspace_lives_its_whole_life() {
    let world = World::start().await;
    let repo = Repo::new();
    let git = json!({ "url": repo.file_url() });
    whole_life(&world, json!({"slug": "demo", "provider": "local", "git": git})).await;
}

#[tokio::test]
async fn a_docker_workspace_lives_its_whole_life() {
    let world = World::start_on_docker().await;
    let repo = Repo::new();
    let server = repo.serve(docker_address());
    let git = json!({ "url": server.url(), "ref": "main" });
    whole_life(&world, json!({"slug": "demo", "provider": "docker", "size": "medium", "git": git})).await;
}

pub async fn whole_life(world: &World, create: Value) {
    let api = &world.api;
    let operation = api.create(create).await;
    let ended = api.succeeded(&operation).await;
    let workspace = api.workspace("demo").await;
    assert_eq!(workspace["state"], "ready", "{workspace:#}");
    for phase in ["queued", "planned", "applied", "booted", "ready"] {
        assert!(ended["phases"][phase].is_string(), "{phase}: {ended:#}");
    }
    let runtime = workspace["runtimeId"].as_str().unwrap().to_owned();

    // The instance says who it is, through the gateway.
    let capabilities: Value =
        api.chamber(Method::GET, "demo", "/capabilities").send().await.unwrap().json().await.unwrap();
    assert_eq!(capabilities, json!({"fs": false, "git": false, "terminal": false, "opencode": true}));

    // A session, a prompt that makes the agent run a tool, and its events while they happen.
    let session: Value = api
        .chamber(Method::POST, "demo", "/session")
        .json(&json!({"title": "e2e"}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let id = session["id"].as_str().unwrap_or_else(|| panic!("{session}")).to_owned();
    let stream = api.chamber(Method::GET, "demo", "/event").send().await.unwrap();
    let mut events = Events::new(stream);
    events.until("server.connected", |event| event["type"] == "server.connected").await;
    let command = "cat README.md > tool.txt && echo tool-ran >> tool.txt";
    let prompt = json!({"parts": [{"type": "text", "text": format!("run-tool: {command}")}]});
    let sent = api
        .chamber(Method::POST, "demo", &format!("/session/{id}/prompt_async"))
        .json(&prompt)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 204);
    let seen = events.until("session.idle", |event| event["type"] == "session.idle").await;
    let kinds: Vec<&str> = seen.iter().filter_map(|(_, event)| event["type"].as_str()).collect();
    assert!(kinds.contains(&"session.status"), "{kinds:?}");
    assert!(kinds.contains(&"message.part.delta"), "{kinds:?}");
    // They came one by one, not in one piece at the end.
    let spread = seen.last().unwrap().0 - seen.first().unwrap().0;
    assert!(spread > Duration::from_millis(200), "{spread:?}");

    let tool_file = async || {
        let path = "/file/content?path=tool.txt";
        let content: Value =
            api.chamber(Method::GET, "demo", path).send().await.unwrap().json().await.unwrap();
        content["content"].as_str().map(str::to_owned)
    };
    assert_eq!(tool_file().await.unwrap().trim(), "# A project\ntool-ran");

    // Stop: nothing answers. Start: session, history and file are still there.
    api.succeeded(&api.change("demo", "stop").await).await;
    assert_eq!(api.workspace("demo").await["state"], "stopped");
    let refused = api.chamber(Method::GET, "demo", "/session").send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "workspace_not_ready");
    assert_eq!(world.witness.processes(), Vec::<u32>::new());
    api.succeeded(&api.change("demo", "start").await).await;
    let history = async |path: String| -> (u16, Value) {
        eventually("an answer about the session", Duration::from_secs(10), || async {
            let response = api.chamber(Method::GET, "demo", &path).send().await.unwrap();
            let status = response.status().as_u16();
            (status < 500).then_some((status, response.json().await.unwrap()))
        })
        .await
    };
    let (status, history) = history(format!("/session/{id}/message")).await;
    if capabilities_of_provider(world).await["persistentHome"] == true {
        assert!(status == 200 && history.to_string().contains("The tool ran."), "{history}");
        assert_eq!(tool_file().await.unwrap().trim(), "# A project\ntool-ran");
    } else {
        assert_eq!(status, 404, "a new home knows no old session: {history}");
    }

    suspend_and_resume(world).await;

    api.succeeded(&api.delete("demo").await).await;
    assert_eq!(api.get("/v1/workspaces").await, json!({"workspaces": []}));
    world.witness.nothing_is_left(&runtime);
}

/// As users are told them.
async fn capabilities_of_provider(world: &World) -> Value {
    let provider = world.api.workspace("demo").await["provider"].clone();
    let providers = world.api.get("/v1/providers").await;
    let info = providers["providers"].as_array().unwrap().iter().find(|info| info["name"] == provider);
    info.unwrap()["capabilities"].clone()
}

/// The same OpenCode goes on: its memory was kept. Where the provider cannot, the refusal says what to do instead, and that
/// keeps the files.
async fn suspend_and_resume(world: &World) {
    let api = &world.api;
    let can = capabilities_of_provider(world).await;
    if can["suspend"] != true {
        let refused = api.post("/v1/workspaces/demo/suspend", &json!({})).await;
        assert_eq!(refused.status(), 501);
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["code"], "capability_unsupported");
        let instead = if can["hibernate"] == true { "hibernate" } else { "stop" };
        assert!(
            problem["action"].as_str().unwrap().contains(&format!("pilot ws {instead} demo")),
            "{problem}"
        );
        assert_eq!(api.workspace("demo").await["state"], "ready");
        if can["hibernate"] == true {
            api.succeeded(&api.change("demo", "hibernate").await).await;
            assert!(world.witness.opencode().is_empty(), "it has ended");
            assert_eq!(api.workspace("demo").await["state"], "suspended");
            let visit = api.chamber(Method::GET, "demo", "/session").send().await.unwrap();
            assert_eq!(visit.status(), 200, "a visit boots it");
            assert_eq!(api.workspace("demo").await["state"], "ready");
        }
        return;
    }
    let opencode = world.witness.opencode();
    assert_eq!(opencode.len(), 1, "{opencode:?}");
    // What the gateway knew a moment ago decides nothing, in either direction.
    let ask = || api.chamber(Method::GET, "demo", "/session").timeout(Duration::from_secs(5)).send();
    for turn in 0..3 {
        assert_eq!(ask().await.unwrap().status(), 200);
        api.succeeded(&api.change("demo", "suspend").await).await;
        // A stream that a page has left open wakes nothing.
        let stream = api.chamber(Method::GET, "demo", "/event").header("accept", "text/event-stream");
        let refused = stream.send().await.unwrap();
        assert_eq!(refused.json::<Value>().await.unwrap()["code"], "workspace_not_ready");
        let suspended = api.workspace("demo").await;
        assert_eq!((&suspended["state"], &suspended["desired"]), (&json!("suspended"), &json!("suspended")));
        api.succeeded(&api.change("demo", "suspend").await).await;
        // And a visit does.
        if turn != 1 {
            api.succeeded(&api.change("demo", "resume").await).await;
        }
        assert_eq!(ask().await.unwrap().status(), 200);
        assert_eq!(api.workspace("demo").await["state"], "ready");
        assert_eq!(world.witness.opencode(), opencode, "the same process goes on");
    }
}

#[tokio::test]
async fn one_request_id_is_in_the_logs_of_gateway_orchestrator_and_instance() {
    let world = World::start().await;
    let api = &world.api;
    api.create_ready("demo", "local").await;
    let request = api.chamber(Method::GET, "demo", "/session").header("x-pilot-request-id", "req-trace-1");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-pilot-request-id"], "req-trace-1");
    let stop =
        api.request(Method::POST, "/v1/workspaces/demo/stop").header("x-pilot-request-id", "req-trace-1");
    assert_eq!(stop.send().await.unwrap().status(), 202);
    let server_log = world.log();
    for part in ["gateway", "orchestrator"] {
        let line = server_log.lines().find(|line| line.contains(part) && line.contains("req-trace-1"));
        assert!(line.is_some(), "no line of the {part}:\n{server_log}");
    }
    let instance_log = world.pilot(&["ws", "logs", "demo"]);
    assert!(instance_log.contains("req-trace-1"), "{instance_log}");
}

#[tokio::test]
async fn the_agents_credentials_are_in_no_state_and_no_log() {
    let world = World::start().await;
    world.api.create_ready("demo", "local").await;
    // `sk-fake` is the key in the operator's opencode.json.
    assert!(!world.witness.state_holds("sk-fake"));
    assert!(!world.log().contains("sk-fake"));
    assert!(!world.witness.state_holds(&world.api.token));
    assert!(!world.log().contains(&world.api.token));
}

#[tokio::test]
async fn the_ui_of_a_workspace_is_served_on_its_own_host_after_a_login() {
    let world = World::start().await;
    let api = &world.api;
    api.create_ready("demo", "local").await;
    let link = world.pilot(&["ws", "open", "demo", "--json"]);
    let link: Value = serde_json::from_str(&link).unwrap();
    let link: url::Url = link["url"].as_str().unwrap().parse().unwrap();
    let host = format!("{}:{}", link.host_str().unwrap(), link.port().unwrap());
    assert!(host.starts_with("demo.localhost:"), "{host}");

    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let at = |path: &str| browser.get(format!("{}{path}", api.gateway)).header("host", &host);
    assert_eq!(at("/").send().await.unwrap().status(), 401);
    let path = format!("{}?{}", link.path(), link.query().unwrap());
    let login = at(&path).send().await.unwrap();
    assert_eq!(login.status(), 303);
    let cookie = login.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let open = async |path: &str| {
        at(path).header("cookie", &cookie).header("accept", "text/html").send().await.unwrap()
    };
    let landing = open("/").await;
    assert_eq!(landing.status(), 303);
    let page = open(landing.headers()["location"].to_str().unwrap()).await;
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().to_lowercase().contains("<title>opencode"));
    assert_eq!(at(&path).send().await.unwrap().status(), 401, "a login link works once");
}
