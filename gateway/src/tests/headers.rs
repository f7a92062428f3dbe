//! What an instance is told of a request, and what a browser is told of its answer.

use contracts::assertion::Surface;
use serde_json::Value;

use crate::tests::keys;
use crate::tests::world::{ADMIN, World};

/// All values of a header in what the fake instance saw.
fn seen<'a>(echo: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = echo["headers"].as_array().unwrap().iter();
    headers.filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap()).collect()
}

async fn echo(request: reqwest::RequestBuilder) -> Value {
    request.send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn the_path_route_reaches_the_api_surface_and_the_host_route_the_ui_verbatim() {
    let world = World::new().await;
    let api = echo(world.get("", "/api/chamber/workspaces/demo/session?directory=%2Fw")).await;
    assert_eq!(api["target"], "/api/session?directory=%2Fw");
    let claims = keys::verified(seen(&api, "x-pilot-assertion")[0]);
    assert_eq!((claims.surface, claims.aud.as_str()), (Surface::Api, "rt-demo"));
    assert_eq!((claims.iss.as_str(), claims.sub.as_str()), ("in-test", "admin"));

    let ui = echo(world.get("other", "/api/session?directory=%2Fw")).await;
    assert_eq!(ui["target"], "/api/session?directory=%2Fw");
    let claims = keys::verified(seen(&ui, "x-pilot-assertion")[0]);
    assert_eq!((claims.surface, claims.aud.as_str()), (Surface::Ui, "rt-other"));
    assert_eq!(seen(&ui, "host"), [world.authority("other")]);
}

#[tokio::test]
async fn secrets_of_the_gateway_stay_with_it_and_the_rest_passes() {
    let world = World::new().await;
    let with_token = echo(world.get("demo", "/").header("cookie", "a=1")).await;
    assert!(seen(&with_token, "authorization").is_empty());
    assert_eq!(seen(&with_token, "cookie"), ["a=1"]);

    let session = world.session("demo").await;
    let request = world.request("GET", "demo", "/").header("cookie", format!("a=1; {session}; b=2"));
    let with_session = echo(request.header("authorization", "Basic of-the-app")).await;
    assert_eq!(seen(&with_session, "cookie"), ["a=1; b=2"]);
    assert_eq!(seen(&with_session, "authorization"), ["Basic of-the-app"]);
}

#[tokio::test]
async fn what_a_caller_claims_of_itself_is_replaced() {
    let world = World::new().await;
    let request = world
        .get("demo", "/")
        .header("x-forwarded-for", "1.2.3.4")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "https")
        .header("forwarded", "for=1.2.3.4")
        .header("x-real-ip", "1.2.3.4")
        .header("x-pilot-assertion", "forged")
        .header("x-pilot-anything", "forged")
        .header("connection", "x-pilot-assertion");
    let echo = echo(request).await;
    for gone in ["x-forwarded-for", "forwarded", "x-real-ip", "x-pilot-anything"] {
        assert!(seen(&echo, gone).is_empty(), "{gone}");
    }
    assert_eq!(seen(&echo, "x-forwarded-host"), [world.authority("demo")]);
    assert_eq!(seen(&echo, "x-forwarded-proto"), ["http"]);
    let assertions = seen(&echo, "x-pilot-assertion");
    assert_eq!(assertions.len(), 1);
    assert_eq!(keys::verified(assertions[0]).aud, "rt-demo");
}

#[tokio::test]
async fn one_request_id_goes_all_the_way_and_back() {
    let world = World::new().await;
    for (sent, kept) in [(Some("req-mine_1"), true), (Some("forged line"), false), (None, false)] {
        let request = world.get("demo", "/");
        let request = match sent {
            Some(id) => request.header("x-pilot-request-id", id),
            None => request,
        };
        let response = request.send().await.unwrap();
        let answered = response.headers()["x-pilot-request-id"].to_str().unwrap().to_owned();
        assert_eq!(sent == Some(answered.as_str()), kept);
        let echo: Value = response.json().await.unwrap();
        assert_eq!(seen(&echo, "x-pilot-request-id"), [answered.as_str()]);
        if kept {
            let asked = world.script.lock().unwrap().asked.last().unwrap().1.clone();
            assert_eq!(asked["x-pilot-request-id"], answered.as_str());
            assert_eq!(asked["authorization"], format!("Bearer {}", crate::tests::world::RESOLVER).as_str());
        }
    }
}

#[tokio::test]
async fn an_instance_cannot_log_a_browser_out_or_in_or_ask_for_a_password() {
    let world = World::new().await;
    let response = world.get("demo", "/evil").send().await.unwrap();
    assert_eq!(response.status(), 401);
    let headers = response.headers();
    assert!(!headers.contains_key("www-authenticate"));
    let cookies: Vec<_> = headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["app=1; Path=/"]);
    assert_eq!(headers.get_all("x-pilot-request-id").iter().count(), 1);
    assert_ne!(headers["x-pilot-request-id"], "of-the-instance");
}

#[tokio::test]
async fn any_method_and_its_body_pass() {
    let world = World::new().await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let request = world.request(method, "demo", "/x").bearer_auth(ADMIN).body("12345");
        let echo = echo(request).await;
        assert_eq!((echo["method"].as_str(), echo["bytes"].as_u64()), (Some(method), Some(5)));
    }
}
