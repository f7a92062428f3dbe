//! A simulator of a test's own, and a small client for it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sim_fly::{Settings, Sim};

pub struct World {
    pub folder: tempfile::TempDir,
    pub sim: Sim,
    pub client: reqwest::Client,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(folder.path());
        change(&mut settings);
        let sim = Sim::start(settings).await.unwrap();
        Self { folder, sim, client: reqwest::Client::new() }
    }

    /// A world whose machines are the guest program.
    pub async fn running() -> Self {
        Self::with(|settings| settings.runner = guest()).await
    }

    pub async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        self.try_call(method, path, body, &[]).await.unwrap()
    }

    pub async fn call_with(
        &self,
        method: Method,
        path: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        self.try_call(method, path, body, headers).await.unwrap()
    }

    pub async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Value,
        headers: &[(&str, &str)],
    ) -> reqwest::Result<Answer> {
        let mut request = self.client.request(method, format!("{}/v1{path}", self.sim.api_url()));
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.bearer_auth("sim-token");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, headers, body })
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    pub async fn app(&self, name: &str) {
        let made = self.post("/apps", json!({"name": name, "org_slug": "personal"})).await;
        assert_eq!(made.status, 201, "{}", made.body);
    }

    /// One that the edge serves.
    pub async fn public_app(&self, name: &str) {
        self.app(name).await;
        let assigned = self.post(&format!("/apps/{name}/ip_assignments"), json!({"type": "shared_v4"})).await;
        assert_eq!(assigned.status, 200, "{}", assigned.body);
    }

    /// Creates a machine and answers with it.
    pub async fn machine(&self, app: &str, config: Value) -> Value {
        let made =
            self.post(&format!("/apps/{app}/machines"), json!({"region": "fra", "config": config})).await;
        assert_eq!(made.status, 200, "{}", made.body);
        made.body
    }

    pub async fn wait(&self, app: &str, machine: &Value, state: &str) {
        let (id, version) = (text(machine, "id"), text(machine, "version"));
        let path = format!("/apps/{app}/machines/{id}/wait?state={state}&version={version}&timeout=20");
        let waited = self.get(&path).await;
        assert_eq!(waited.status, 200, "{state}: {}", waited.body);
    }

    /// Asks a machine's service through the edge.
    pub async fn edge(&self, app: &str, path: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
        let mut request = self.client.get(format!("http://{}{path}", self.sim.edge()));
        request = request.header("host", format!("{app}.fly.dev"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    pub async fn order(&self, fault: Value) {
        self.sim.order(serde_json::from_value(fault).unwrap());
    }
}

pub fn guest() -> sim_fly::RunnerKind {
    sim_fly::RunnerKind::Process { command: vec![env!("CARGO_BIN_EXE_sim-fly-guest").to_owned()] }
}

/// A configuration whose service is the guest program.
pub fn service() -> Value {
    json!({
        "image": "registry.fly.io/guest:1",
        "env": {"PILOT_LISTEN": "0.0.0.0:3000"},
        "restart": {"policy": "no"},
        "stop_config": {"signal": "SIGTERM", "timeout": "5s"},
        "services": [{"protocol": "tcp", "internal_port": 3000, "autostart": false, "autostop": "off",
                      "ports": [{"port": 443, "handlers": ["tls", "http"]}]}],
    })
}

pub fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_owned()
}

/// Waits until `holds` is true and fails the test when that takes longer than twenty seconds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
