use std::sync::Mutex;

use async_trait::async_trait;
use contracts::ErrorCode;
use contracts::identity::{RuntimeCapabilities, RuntimeHealth, RuntimeIdentity};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;

use super::*;
use crate::status::Status;
use crate::testing::{Signer, identity, runtime};

/// Remembers what reached it and answers what it was told to.
struct Recorder {
    status: Status,
    content_type: &'static str,
    seen: Mutex<Vec<(String, HeaderMap)>>,
}

#[async_trait]
impl RuntimeAdapter for Recorder {
    fn identity(&self) -> RuntimeIdentity {
        identity()
    }

    async fn capabilities(&self) -> RuntimeCapabilities {
        RuntimeCapabilities { opencode: true, ..Default::default() }
    }

    async fn health(&self) -> RuntimeHealth {
        self.status.health_of(identity())
    }

    fn landing(&self) -> Option<String> {
        Some("/L3c/session".to_owned())
    }

    async fn proxy(
        &self,
        request: http::Request<Body>,
        target_path: &str,
    ) -> Result<http::Response<Body>, Problem> {
        self.seen.lock().unwrap().push((target_path.to_owned(), request.headers().clone()));
        if self.content_type.is_empty() {
            return Err(Problem::new(ErrorCode::OpencodeUnavailable, "OpenCode is not ready"));
        }
        let mut response = http::Response::new(proxy::full("answer"));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        Ok(response)
    }
}

struct World {
    adapter: Arc<Recorder>,
    app: Router,
    signer: Signer,
}

fn world(status: Status, content_type: &'static str) -> World {
    let signer = Signer::new(7);
    let adapter = Arc::new(Recorder { status, content_type, seen: Mutex::default() });
    let app = app(adapter.clone(), Verifier::new(signer.public(), &runtime(), None));
    World { adapter, app, signer }
}

fn ready(content_type: &'static str) -> World {
    world(Status::ok("1.0"), content_type)
}

impl World {
    async fn send(&mut self, request: http::request::Builder) -> (StatusCode, HeaderMap, Value) {
        let request = request.body(axum::body::Body::empty()).unwrap();
        let response = TowerToHyperService::new(self.app.clone()).call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let value = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        (parts.status, parts.headers, value)
    }

    async fn get(&mut self, surface: Surface, uri: &str) -> (StatusCode, HeaderMap, Value) {
        let request = self.request(surface, uri);
        self.send(request).await
    }

    fn request(&self, surface: Surface, uri: &str) -> http::request::Builder {
        http::Request::builder()
            .uri(uri)
            .header(contracts::headers::ASSERTION, self.signer.token("rt-test", surface))
    }

    fn targets(&self) -> Vec<String> {
        self.adapter.seen.lock().unwrap().iter().map(|(target, _)| target.clone()).collect()
    }
}

#[tokio::test]
async fn health_needs_no_assertion_and_its_status_follows_opencode() {
    let (status, _, health) = ready("").send(http::Request::builder().uri("/health")).await;
    assert_eq!((status, &health["status"]), (StatusCode::OK, &Value::from("ok")));
    assert_eq!(health["openCode"]["version"], "1.0");
    let mut starting = world(Status::starting("cloning"), "");
    let (status, _, health) = starting.send(http::Request::builder().uri("/health")).await;
    assert_eq!((status.as_u16(), &health["detail"]), (503, &Value::from("cloning")));
}

#[tokio::test]
async fn only_get_is_answered_where_only_get_makes_sense() {
    let mut world = ready("application/json");
    let (status, headers, problem) = world.send(http::Request::post("/health")).await;
    assert_eq!((status.as_u16(), &problem["code"]), (405, &Value::from("method_not_allowed")));
    assert_eq!(headers[ALLOW], "GET, HEAD");
    let request = world.request(Surface::Api, "/api/capabilities").method("DELETE");
    assert_eq!(world.send(request).await.0.as_u16(), 405);
}

#[tokio::test]
async fn without_an_assertion_nothing_else_is_answered() {
    let mut world = ready("application/json");
    for uri in ["/", "/api/session", "/api/capabilities", "/global/health", "/health/x", "/nope"] {
        let (status, headers, problem) = world.send(http::Request::builder().uri(uri)).await;
        assert_eq!((status.as_u16(), &problem["code"]), (401, &Value::from("unauthorized")), "{uri}");
        assert_eq!(headers[CONTENT_TYPE], contracts::headers::PROBLEM_JSON);
        assert!(!headers.contains_key("www-authenticate"), "no browser dialog");
    }
    let elsewhere = world.signer.token("rt-other", Surface::Api);
    let request =
        http::Request::builder().uri("/api/session").header(contracts::headers::ASSERTION, elsewhere);
    assert_eq!(world.send(request).await.0.as_u16(), 401);
    assert!(world.targets().is_empty());
}

#[tokio::test]
async fn the_api_surface_strips_its_prefix_and_keeps_the_query() {
    let mut world = ready("application/json");
    world.get(Surface::Api, "/api/session?directory=/w%2Fx&a=..%2f").await;
    world.get(Surface::Api, "/api/global/event").await;
    assert_eq!(world.targets(), ["/session?directory=/w%2Fx&a=..%2f", "/global/event"]);
}

#[tokio::test]
async fn the_ui_surface_goes_to_opencode_verbatim() {
    let mut world = ready("text/html");
    let (status, _, body) = world.get(Surface::Ui, "/").await;
    assert_eq!((status.as_u16(), body), (200, Value::from("answer")));
    world.get(Surface::Ui, "/api/session?x=1").await;
    world.get(Surface::Ui, "/assets/a.js").await;
    assert_eq!(world.targets(), ["/", "/api/session?x=1", "/assets/a.js"]);
}

#[tokio::test]
async fn groups_that_are_not_offered_say_so_and_the_capabilities_agree() {
    let mut world = ready("application/json");
    let (_, _, capabilities) = world.get(Surface::Api, "/api/capabilities").await;
    for (uri, name) in
        [("/api/terminal/create", "terminal"), ("/api/fs/list?x", "fs"), ("/api/git/status", "git")]
    {
        let (status, _, problem) = world.get(Surface::Api, uri).await;
        assert_eq!((status.as_u16(), &problem["code"]), (501, &Value::from("capability_unsupported")));
        assert_eq!(capabilities[name], false);
    }
    assert_eq!(capabilities["opencode"], true);
    assert!(world.targets().is_empty());
}

#[tokio::test]
async fn an_unknown_or_ambiguous_path_is_not_found_and_reaches_nobody() {
    let mut world = ready("application/json");
    for uri in [
        "/api",
        "/api/",
        "/apix/session",
        "/session",
        "/api/global/upgrade",
        "/api/session/%2e%2e/tui/publish",
    ] {
        let (status, _, problem) = world.get(Surface::Api, uri).await;
        assert_eq!((status.as_u16(), &problem["code"]), (404, &Value::from("not_found")), "{uri}");
    }
    assert!(world.targets().is_empty());
}

#[tokio::test]
async fn a_web_page_under_the_api_is_an_error() {
    let (status, _, problem) =
        ready("text/html;charset=utf-8").get(Surface::Api, "/api/session/x/nope").await;
    assert_eq!((status.as_u16(), &problem["code"]), (502, &Value::from("opencode_unexpected")));
}

#[tokio::test]
async fn a_caller_is_told_when_to_come_again() {
    let (status, headers, problem) = ready("").get(Surface::Api, "/api/session").await;
    assert_eq!((status.as_u16(), &problem["code"]), (503, &Value::from("opencode_unavailable")));
    assert_eq!(headers[RETRY_AFTER], "2");
    assert_eq!(problem["retryable"], true);
}

#[tokio::test]
async fn the_assertion_and_the_callers_login_stop_here() {
    let mut world = ready("application/json");
    let request = world.request(Surface::Ui, "/").header(AUTHORIZATION, "Bearer secret");
    world.send(request).await;
    let seen = world.adapter.seen.lock().unwrap();
    let headers = &seen[0].1;
    assert!(!headers.contains_key(contracts::headers::ASSERTION) && !headers.contains_key(AUTHORIZATION));
}

#[tokio::test]
async fn the_request_id_is_passed_on_and_returned_in_header_and_problem() {
    let mut world = ready("application/json");
    let request = world.request(Surface::Api, "/api/session").header(contracts::headers::REQUEST_ID, "req-7");
    let (_, headers, _) = world.send(request).await;
    assert_eq!(headers[contracts::headers::REQUEST_ID], "req-7");
    assert_eq!(world.adapter.seen.lock().unwrap()[0].1[contracts::headers::REQUEST_ID], "req-7");

    let request = http::Request::builder().uri("/x").header(contracts::headers::REQUEST_ID, "bad id");
    let (_, headers, problem) = world.send(request).await;
    assert_eq!(problem["requestId"].as_str(), headers[contracts::headers::REQUEST_ID].to_str().ok());
    assert!(problem["requestId"].as_str().unwrap().starts_with("req-"));
}

#[tokio::test]
async fn only_a_browser_that_opens_the_bare_address_is_sent_to_the_workspace() {
    let mut world = ready("text/html");
    let page = world.request(Surface::Ui, "/").header("accept", "text/html,*/*");
    let (status, headers, _) = world.send(page).await;
    assert_eq!((status.as_u16(), headers[LOCATION].to_str().unwrap()), (303, "/L3c/session"));
    for uri in ["/?x=1", "/L3c/session", "/assets/a.js"] {
        let request = world.request(Surface::Ui, uri).header("accept", "text/html,*/*");
        assert_eq!(world.send(request).await.0, StatusCode::OK, "{uri}");
    }
    assert_eq!(world.get(Surface::Ui, "/").await.0, StatusCode::OK);
}
