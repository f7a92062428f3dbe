//! A simulator of its own for each test, and a client of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper fails its test")]
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::time::{Duration, Instant};

use reqwest::{Client, Method, Response};
use serde_json::Value;
use sim_cloudflare::{Options, Simulator};

pub struct World {
    pub sim: Simulator,
    pub folder: tempfile::TempDir,
    pub client: Client,
}

impl World {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::in_folder(folder.path());
        change(&mut options);
        let sim = Simulator::start(options).await.unwrap();
        // Never through a proxy of the machine that runs the tests, nor on a connection that a fault cut.
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        Self { sim, folder, client }
    }

    /// Ends the simulator and starts it again in its folder.
    pub async fn restart(self) -> Self {
        let Self { sim, folder, client } = self;
        sim.stop().await;
        let sim = Simulator::start(Options::in_folder(folder.path())).await.unwrap();
        Self { sim, folder, client }
    }

    pub fn account(&self, path: &str) -> String {
        format!("/accounts/{}{path}", self.sim.urls.account)
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> reqwest::Result<Response> {
        let request =
            self.client.request(method, format!("{}{path}", self.sim.urls.api)).bearer_auth("sim-token");
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        request.timeout(Duration::from_secs(30)).send().await
    }

    /// The status and the envelope.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let response = self.send(method, path, body).await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// The status and the first error's code.
    pub async fn refused(&self, method: Method, path: &str, body: Option<Value>) -> (u16, u64) {
        let (status, envelope) = self.call(method, path, body).await;
        assert_eq!(envelope["success"], false, "{envelope}");
        (status, envelope["errors"][0]["code"].as_u64().unwrap())
    }

    /// The result of a call that succeeds.
    pub async fn result(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, envelope) = self.call(method, path, body).await;
        assert_eq!((status, &envelope["success"]), (200, &Value::Bool(true)), "{envelope}");
        envelope["result"].clone()
    }

    /// A request to a Worker, by its host name.
    pub fn worker(&self, script: &str, path: &str) -> reqwest::RequestBuilder {
        let host = format!("{script}.{}.workers.dev", self.sim.urls.subdomain);
        self.client.get(format!("{}{path}", self.sim.urls.edge)).header("host", host)
    }

    pub async fn text(&self, script: &str, path: &str) -> String {
        let answer = self.worker(script, path).timeout(Duration::from_secs(60)).send().await;
        answer.unwrap().text().await.unwrap()
    }
}

/// Asks again until it holds, and fails the test after half a minute.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
