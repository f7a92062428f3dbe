//! One gateway, one orchestrator that says what the test tells it, and one instance that answers
//! with what it was sent. Each test has its own, on free ports.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use contracts::workspace::{Endpoint, Observed, Route};
use contracts::{ErrorCode, Problem, RuntimeId, Slug};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::tests::keys;
use crate::{Config, Running};

pub const ADMIN: &str = "admin-token-of-the-test";
pub const RESOLVER: &str = "gateway-token-of-the-test";

/// What the fake orchestrator answers, and what it was asked.
#[derive(Default)]
pub struct Script {
    pub routes: BTreeMap<String, Route>,
    pub away: bool,
    pub delay: Duration,
    /// Questions that arrived, answered or not.
    pub arrived: usize,
    pub asked: Vec<(String, HeaderMap)>,
    /// What becomes of those that are woken, some questions later; refused where that is not said.
    pub woken: BTreeMap<String, Route>,
    pub wakes: usize,
    /// After so many more questions.
    becomes: BTreeMap<String, (usize, Route)>,
}

pub struct World {
    pub gateway: Running,
    pub script: Arc<Mutex<Script>>,
    pub orchestrator: SocketAddr,
    pub instance: SocketAddr,
    pub client: reqwest::Client,
}

impl World {
    /// A world in which `demo` and `other` are ready, and both are the same fake instance.
    pub async fn new() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let orchestrator = Router::new()
            .route("/v1/resolve/{slug}", routing::get(resolve))
            .route("/v1/workspaces/{slug}/wake", routing::post(wake))
            .with_state(script.clone());
        let orchestrator = serve(orchestrator).await;
        let instance = serve(Router::new().fallback(super::streams::instance)).await;
        let gateway = crate::start(config(orchestrator)).await.unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let world = Self { gateway, script, orchestrator, instance, client };
        world.say("demo", Observed::Ready, Some(instance));
        world.say("other", Observed::Ready, Some(instance));
        world
    }

    /// Sets what the orchestrator says of a slug.
    pub fn say(&self, slug: &str, state: Observed, endpoint: Option<SocketAddr>) {
        let endpoint = endpoint.map(|at| Endpoint::plain(at.ip().to_string(), at.port()));
        let slug_name: Slug = slug.parse().unwrap();
        let route = Route { slug: slug_name, runtime_id: runtime(slug), state, endpoint };
        self.script.lock().unwrap().routes.insert(slug.to_owned(), route);
    }

    pub fn asked(&self) -> usize {
        self.script.lock().unwrap().asked.len()
    }

    pub fn arrived(&self) -> usize {
        self.script.lock().unwrap().arrived
    }

    /// `host:port` of the control site (empty slug) or a workspace's.
    pub fn authority(&self, slug: &str) -> String {
        let port = self.gateway.address().port();
        if slug.is_empty() { format!("localhost:{port}") } else { format!("{slug}.localhost:{port}") }
    }

    /// A request to a site of the gateway.
    pub fn request(&self, method: &str, slug: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.gateway.address());
        self.client.request(method.parse().unwrap(), url).header("host", self.authority(slug))
    }

    /// A GET with the admin token.
    pub fn get(&self, slug: &str, path: &str) -> reqwest::RequestBuilder {
        self.request("GET", slug, path).bearer_auth(ADMIN)
    }

    /// A fresh login link; its path and query.
    pub async fn link(&self, slug: &str) -> String {
        let body = if slug.is_empty() { json!({}) } else { json!({ "slug": slug }) };
        let answer =
            self.request("POST", "", "/api/auth/links").bearer_auth(ADMIN).json(&body).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["expiresInSeconds"], 600);
        let url = answer["url"].as_str().unwrap();
        let path = url.strip_prefix(&format!("http://{}", self.authority(slug)));
        path.unwrap_or_else(|| panic!("{url}")).to_owned()
    }

    /// A session cookie for a site, as a browser would send it.
    pub async fn session(&self, slug: &str) -> String {
        let link = self.link(slug).await;
        let response = self.request("GET", slug, &link).send().await.unwrap();
        assert_eq!(response.status(), 303);
        cookie_of(&response)
    }
}

/// `name=value` of the first cookie that a response sets.
pub fn cookie_of(response: &reqwest::Response) -> String {
    response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

pub fn config(orchestrator: SocketAddr) -> Config {
    Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        domain: "localhost".to_owned(),
        orchestrator: format!("http://{orchestrator}").parse().unwrap(),
        orchestrator_token: RESOLVER.to_owned(),
        admin_token: ADMIN.to_owned(),
        session_key: [7; 32],
        assertion_key_pem: keys::private_pem(),
        installation: "in-test".parse().unwrap(),
    }
}

pub fn runtime(slug: &str) -> RuntimeId {
    format!("rt-{slug}").parse().unwrap()
}

/// Serves a router on a free port for as long as the test runs.
pub async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// An address where nothing listens.
pub async fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// The problem document of an error, checked for its shape.
pub async fn problem(response: reqwest::Response) -> Problem {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let status = response.status().as_u16();
    let request_id = response.headers()["x-pilot-request-id"].to_str().unwrap().to_owned();
    let problem: Problem = response.json().await.unwrap();
    assert_eq!((problem.status, problem.code.known().unwrap().status()), (status, status));
    assert_eq!(problem.kind, format!("/docs/errors/{}", problem.code));
    assert_eq!(problem.request_id, Some(request_id));
    assert!(problem.detail.ends_with('.'), "{}", problem.detail);
    assert!(problem.action.is_some(), "{} says nothing of what to do", problem.code);
    problem
}

async fn wake(State(script): State<Arc<Mutex<Script>>>, Path(slug): Path<String>) -> Response {
    let mut script = script.lock().unwrap();
    script.wakes += 1;
    match script.woken.remove(&slug) {
        Some(route) => {
            let booting = Route { state: Observed::Booting, endpoint: None, ..route.clone() };
            script.routes.insert(slug.clone(), booting);
            script.becomes.insert(slug, (3, route));
            Json(json!({})).into_response()
        }
        None => {
            let problem = Problem::new(ErrorCode::ProviderCapacity, "There is no room.");
            (StatusCode::SERVICE_UNAVAILABLE, Json(problem.with_action("Wait."))).into_response()
        }
    }
}

async fn resolve(
    State(script): State<Arc<Mutex<Script>>>,
    Path(slug): Path<String>,
    request: Request,
) -> Response {
    let delay = {
        let mut script = script.lock().unwrap();
        script.arrived += 1;
        script.delay
    };
    tokio::time::sleep(delay).await;
    let mut script = script.lock().unwrap();
    script.asked.push((slug.clone(), request.headers().clone()));
    if let Some((left, route)) = script.becomes.remove(&slug) {
        match left {
            0 => drop(script.routes.insert(slug.clone(), route)),
            _ => drop(script.becomes.insert(slug.clone(), (left - 1, route))),
        }
    }
    if script.away {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    match script.routes.get(&slug) {
        Some(route) => Json(route).into_response(),
        None => {
            let problem = Problem::new(ErrorCode::WorkspaceNotFound, "There is no such workspace.");
            (StatusCode::NOT_FOUND, Json(problem)).into_response()
        }
    }
}
