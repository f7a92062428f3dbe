//! The way of a user's request: gateway's assertion, Worker, Durable Object, container; streamed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

#[path = "support/gateway.rs"]
mod gateway;
#[path = "support/world.rs"]
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::RuntimeId;
use contracts::assertion::Surface;
use contracts::headers::ASSERTION;
use gateway::{KeyBoot, Signer, send_text, until_text, websocket};
use provider_api::conformance::{Backdoor as _, Stack};
use provider_api::{Provider, RuntimeSpec};
use provider_cloudflare::{CloudflareConfig, CloudflareProvider, Identity};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use world::World;

struct Traffic {
    world: World,
    signer: Signer,
    provider: Arc<dyn Provider>,
    stack: Stack,
    client: Client,
}

impl Traffic {
    /// A running runtime with the gateway's real key.
    async fn start(others: &[(&str, &str)]) -> Self {
        let (world, signer) = (world::start().await, Signer::new());
        let config = CloudflareConfig {
            boot: Arc::new(KeyBoot(signer.public.clone())),
            identity: Some(Identity { gateway_key: signer.public.clone(), ..world.identity() }),
            ..world.config(others)
        };
        let provider: Arc<dyn Provider> = Arc::new(CloudflareProvider::new(config));
        world.apply_shared(&provider).await.unwrap();
        let spec = RuntimeSpec::new(
            RuntimeId::random(),
            world.installation.clone(),
            provider.describe().sizes[0].name.clone(),
        );
        let mut stack = Stack::new(provider.clone(), spec);
        stack.up().await;
        let client = Client::builder().no_proxy().build().unwrap();
        Self { world, signer, provider, stack, client }
    }

    fn host(&self) -> String {
        format!("pilot-{}.{}.workers.dev", self.world.installation, self.world.urls.subdomain)
    }

    fn token(&self) -> String {
        self.token_for(self.stack.spec.runtime_id.as_str())
    }

    fn token_for(&self, runtime: &str) -> String {
        self.signer.token(self.world.installation.as_str(), runtime, Surface::Api)
    }

    /// As the gateway sends it to the endpoint.
    async fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let endpoint = self.provider.lifecycle().endpoint(&self.stack.runtime()).await.unwrap();
        assert!(!endpoint.tls && endpoint.headers["host"] == self.host());
        let url = format!("http://{}:{}{path}", endpoint.host, endpoint.port);
        let request = self.client.request(method, url).header("host", &endpoint.headers["host"]);
        request.header(ASSERTION, self.token()).timeout(Duration::from_secs(60))
    }

    /// To the Worker, whatever the runtime's state.
    async fn bare(&self, path: &str, token: Option<String>) -> Response {
        let request = self.client.get(format!("{}{path}", self.world.urls.edge)).header("host", self.host());
        let request = match token {
            Some(token) => request.header(ASSERTION, token),
            None => request,
        };
        request.send().await.unwrap()
    }

    async fn refused(&self, token: Option<String>) -> (u16, Value) {
        let answer = self.bare("/api/session", token).await;
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["code"].clone())
    }

    async fn end(self) {
        let installation = self.world.installation.clone();
        self.world.sweep(&installation).await;
    }
}

/// Reads a stream until this has come.
async fn until(stream: &mut Response, words: &str) {
    let mut seen = String::new();
    let found = async {
        while !seen.contains(words) {
            seen += &String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap());
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(20), found).await;
    assert!(found.is_ok(), "{words} did not come, but: {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_event_streams_reach_the_instance_through_the_worker() {
    let traffic = Traffic::start(&[]).await;
    let made = traffic.request(Method::POST, "/api/session").await.json(&json!({"title": "through"}));
    let session: Value = made.send().await.unwrap().json().await.unwrap();
    assert_eq!(session["title"], "through");

    // Whoever waits for an instance asks without an assertion, by the endpoint's headers alone.
    let endpoint = traffic.provider.lifecycle().endpoint(&traffic.stack.runtime()).await.unwrap();
    let mut asked = traffic.client.get(format!("http://{endpoint}/health"));
    for (name, value) in &endpoint.headers {
        asked = asked.header(name, value);
    }
    let health: Value = asked.send().await.unwrap().json().await.unwrap();
    assert_eq!(health["identity"]["runtimeId"], traffic.stack.spec.runtime_id.as_str());

    // Each event arrives when it is sent, while the stream stays open.
    let mut events = traffic.request(Method::GET, "/api/event").await.send().await.unwrap();
    assert!(events.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    until(&mut events, "server.connected").await;
    let again = traffic.request(Method::POST, "/api/session").await.json(&json!({"title": "second"}));
    assert_eq!(again.send().await.unwrap().status(), 200);
    until(&mut events, "session.created").await;
    traffic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_an_assertion_for_this_runtime_and_nothing_runs_for_a_stopped_one() {
    let traffic = Traffic::start(&[]).await;
    let unauthorized = (401, json!("unauthorized"));
    assert_eq!(traffic.refused(None).await, unauthorized);
    assert_eq!(traffic.refused(Some("nonsense".to_owned())).await, unauthorized);
    let stranger = Signer::new();
    let foreign = stranger.token(
        traffic.world.installation.as_str(),
        traffic.stack.spec.runtime_id.as_str(),
        Surface::Api,
    );
    assert_eq!(traffic.refused(Some(foreign)).await, unauthorized);
    let elsewhere = traffic.signer.token("in-other", traffic.stack.spec.runtime_id.as_str(), Surface::Api);
    assert_eq!(traffic.refused(Some(elsewhere)).await, unauthorized);
    assert_eq!(traffic.refused(Some(traffic.token_for("rt-unknown"))).await, (404, json!("not_found")));
    // The control path knows no assertion.
    let control = traffic.bare("/_pilot/runtimes", Some(traffic.token())).await;
    assert_eq!(control.status(), 401);

    let (lifecycle, runtime) = (traffic.provider.lifecycle(), traffic.stack.runtime());
    lifecycle.stop(&runtime, Duration::from_secs(5)).await.unwrap();
    assert_eq!(traffic.refused(Some(traffic.token())).await, (503, json!("workspace_not_ready")));
    assert!(!traffic.world.runs(&runtime).await, "a request starts nothing");
    traffic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opencode_answers_and_its_terminal_works_through_a_websocket() {
    world::build_opencode_image();
    let account = sim_cloudflare::Options::in_folder(std::path::Path::new("/")).account;
    let image = format!("registry.cloudflare.com/{account}/{}", world::OPENCODE_IMAGE);
    let traffic = Traffic::start(&[("IMAGE", &image), ("INSTANCE_TYPE", "standard-4")]).await;
    // It takes a while: the instance boots, and OpenCode in it.
    let deadline = Instant::now() + Duration::from_secs(150);
    let terminal = loop {
        let asked = traffic.request(Method::POST, "/api/pty").await.json(&json!({"command": "/bin/sh"}));
        let made: Value = asked.send().await.unwrap().json().await.unwrap_or_default();
        if let Some(id) = made["id"].as_str() {
            break id.to_owned();
        }
        assert!(Instant::now() < deadline, "OpenCode does not answer: {made}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let path = format!("/api/pty/{terminal}/connect");
    let address = traffic.world.urls.edge.trim_start_matches("http://").to_owned();
    let mut socket = websocket(&address, &traffic.host(), &path, &traffic.token()).await;
    send_text(&mut socket, "echo $((40+2))-pty\n").await;
    until_text(&mut socket, "42-pty").await;
    traffic.end().await;
}
