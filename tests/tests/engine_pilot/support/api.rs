//! The lifecycle API and the gateway, as an HTTP client sees them.

use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::eventually;

#[derive(Clone)]
pub struct Api {
    pub orchestrator: String,
    pub gateway: String,
    pub admin: String,
    pub token: String,
    pub client: Client,
}

impl Api {
    pub fn nowhere() -> Self {
        let none = String::new;
        Self { orchestrator: none(), gateway: none(), admin: none(), token: none(), client: Client::new() }
    }

    /// Where the server of this data folder says that it listens.
    pub fn find(data: &Path) -> Option<Self> {
        let endpoints: Value =
            serde_json::from_slice(&std::fs::read(data.join("endpoints.json")).ok()?).ok()?;
        let token = std::fs::read_to_string(data.join("secrets/admin-token")).ok()?;
        let url = |name: &str| Some(endpoints[name]["url"].as_str()?.trim_end_matches('/').to_owned());
        Some(Self {
            orchestrator: url("orchestrator")?,
            gateway: url("gateway")?,
            // Older ones do not say it.
            admin: url("admin").unwrap_or_default(),
            token: token.trim().to_owned(),
            client: Client::new(),
        })
    }

    pub async fn is_ready(&self) -> bool {
        let ready = self.client.get(format!("{}/ready", self.orchestrator)).send().await;
        ready.is_ok_and(|response| response.status() == 200)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.orchestrator)).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Value {
        let response = self.request(Method::GET, path).send().await.unwrap();
        assert!(response.status().is_success(), "GET {path}: {}", response.text().await.unwrap());
        response.json().await.unwrap()
    }

    pub async fn metrics(&self) -> String {
        self.client.get(format!("{}/metrics", self.admin)).send().await.unwrap().text().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.request(Method::POST, path).json(body).send().await.unwrap()
    }

    /// Asks for a workspace; the accepted operation.
    pub async fn create(&self, body: Value) -> Value {
        let response = self.post("/v1/workspaces", &body).await;
        let status = response.status();
        let answer: Value = response.json().await.unwrap();
        assert_eq!(status, 202, "{answer}");
        answer["operation"].clone()
    }

    pub async fn create_ready(&self, slug: &str, provider: &str) -> Value {
        let operation = self.create(json!({"slug": slug, "provider": provider})).await;
        self.succeeded(&operation).await;
        self.workspace(slug).await
    }

    pub async fn change(&self, slug: &str, what: &str) -> Value {
        let answer: Value =
            self.post(&format!("/v1/workspaces/{slug}/{what}"), &json!({})).await.json().await.unwrap();
        answer["operation"].clone()
    }

    pub async fn delete(&self, slug: &str) -> Value {
        let request = self.request(Method::DELETE, &format!("/v1/workspaces/{slug}"));
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["operation"].clone()
    }

    pub async fn workspace(&self, slug: &str) -> Value {
        self.get(&format!("/v1/workspaces/{slug}")).await
    }

    /// Waits until the operation has ended, however it did.
    pub async fn ended(&self, operation: &Value) -> Value {
        let id = operation["id"].as_str().unwrap_or_else(|| panic!("no operation: {operation}"));
        eventually("the end of the operation", Duration::from_secs(180), || async {
            let now = self.get(&format!("/v1/operations/{id}")).await;
            let running = ["queued", "running"].contains(&now["state"].as_str().unwrap());
            (!running).then_some(now)
        })
        .await
    }

    pub async fn succeeded(&self, operation: &Value) -> Value {
        let ended = self.ended(operation).await;
        assert_eq!(ended["state"], "succeeded", "{ended:#}");
        ended
    }

    /// Through the gateway's path route to the workspace's API.
    pub fn chamber(&self, method: Method, slug: &str, path: &str) -> RequestBuilder {
        let url = format!("{}/api/chamber/workspaces/{slug}{path}", self.gateway);
        self.client.request(method, url).bearer_auth(&self.token)
    }
}
