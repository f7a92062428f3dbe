//! Asks OpenCode's own health route whether it answers.

use std::time::Duration;

use backend::OpenCodeTarget;
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;

/// Asks one OpenCode.
#[derive(Debug, Clone)]
pub struct Probe {
    client: reqwest::Client,
    url: String,
    target: OpenCodeTarget,
}

#[derive(Deserialize)]
struct Answer {
    healthy: bool,
    version: String,
}

impl Probe {
    /// Each question uses a connection of its own: OpenCode never answers a request that arrives while
    /// it is still starting, and a kept connection would wait behind it.
    pub fn new(target: OpenCodeTarget) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build()?;
        let url = format!("http://{}/global/health", target.authority());
        Ok(Self { client, url, target })
    }

    /// OpenCode's version when it is healthy, else `None`.
    pub async fn ask(&self, limit: Duration) -> Option<String> {
        let request =
            self.client.get(&self.url).header(AUTHORIZATION, self.target.login().clone()).timeout(limit);
        let answer: Answer = request.send().await.ok()?.error_for_status().ok()?.json().await.ok()?;
        answer.healthy.then_some(answer.version)
    }
}
