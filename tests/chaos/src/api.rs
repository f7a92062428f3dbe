//! The API as a client that does not give up sees it: any of the orchestrators may answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use reqwest::Method;
use serde_json::Value;

use crate::server::Server;

/// One call; shorter than a pause of a server.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Between two tries.
const AGAIN: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub struct Api {
    servers: Arc<Vec<Server>>,
    client: reqwest::Client,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub body: Option<Value>,
    pub key: Option<String>,
}

impl Asked {
    /// Without a body and without an idempotency key.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: None, key: None }
    }

    pub fn create(body: Value) -> Self {
        Self::new(Method::POST, "/v1/workspaces").with(body)
    }

    pub fn with(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// A problem's code; empty where there is none.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

impl Api {
    pub fn new(servers: Arc<Vec<Server>>) -> Result<Self> {
        Ok(Self { servers, client: reqwest::Client::builder().no_proxy().build()? })
    }

    /// One try at one server; `None` when there was no whole answer.
    pub async fn once(&self, server: usize, asked: &Asked) -> Option<Answer> {
        let (url, token) = self.servers[server % self.servers.len()].address()?;
        let mut request = self.client.request(asked.method.clone(), format!("{url}{}", asked.path));
        request = request.bearer_auth(token).timeout(TIMEOUT);
        if let Some(body) = &asked.body {
            request = request.json(body);
        }
        if let Some(key) = &asked.key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        Some(Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }

    /// The same request again, at one server after the other, until one answers and does not only ask to come again later.
    pub async fn stubborn(&self, first: usize, asked: &Asked, deadline: Instant) -> Result<Answer> {
        let (mut server, mut last) = (first, None);
        loop {
            match self.once(server, asked).await {
                Some(answer) if answer.status < 500 && answer.status != 429 => return Ok(answer),
                // A fault of the server, whoever was killed meanwhile.
                Some(answer) if answer.code() == "internal" => return Ok(answer),
                other => last = other.or(last),
            }
            if Instant::now() > deadline {
                bail!("no answer to {} {}; the last was {last:?}", asked.method, asked.path);
            }
            server += 1;
            tokio::time::sleep(AGAIN).await;
        }
    }

    pub async fn get(&self, path: &str, deadline: Instant) -> Result<Answer> {
        let asked = Asked::new(Method::GET, path);
        self.stubborn(0, &asked, deadline).await
    }

    /// All pages of a list.
    pub async fn all(&self, path: &str, name: &str, deadline: Instant) -> Result<Vec<Value>> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{separator}limit=100{cursor}"), deadline).await?;
            if page.status != 200 {
                bail!("{path}: {} {}", page.status, page.body);
            }
            all.extend(page.body[name].as_array().cloned().unwrap_or_default());
            match page.body["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }

    /// The events of an operation that has ended.
    pub async fn events(&self, operation: &str, deadline: Instant) -> Result<Vec<Value>> {
        let answer = self.get(&format!("/v1/operations/{operation}/events"), deadline).await?;
        let text = answer.body.as_str().unwrap_or_default();
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        Ok(data.filter_map(|data| serde_json::from_str(data.trim()).ok()).collect())
    }
}
