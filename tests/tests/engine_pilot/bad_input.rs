//! Bad input gets a clear error with a stable code, and changes nothing.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::world::World;

#[tokio::test]
async fn every_unusable_request_is_refused_with_its_own_code() {
    let world = World::start().await;
    let git = |url: &str| json!({"slug": "demo", "git": {"url": url}});
    for (body, status, code) in [
        (json!({"slug": "My App"}), 400, "invalid_slug"),
        (json!({"slug": ""}), 400, "invalid_slug"),
        (json!({"slug": "localhost"}), 400, "invalid_slug"),
        (json!({"slug": "demo", "provider": "aws"}), 400, "unknown_provider"),
        (json!({"slug": "demo", "size": "colossal"}), 400, "unknown_size"),
        (json!({"slug": "demo", "colour": "red"}), 400, "unknown_field"),
        (json!({"slug": "demo", "git": {"url": "file:///x", "depth": 1}}), 400, "unknown_field"),
        (json!({"slug": 7}), 400, "bad_request"),
        (json!({}), 400, "bad_request"),
        (git("not a url"), 400, "invalid_git_url"),
        (git("https://user:hunter2@example.com/x.git"), 400, "invalid_git_url"),
        (git("ext::sh -c id"), 400, "invalid_git_url"),
    ] {
        let response = world.api.post("/v1/workspaces", &body).await;
        assert_eq!(response.status(), status, "{body}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["code"], code, "{body}: {problem:#}");
        assert!(problem["requestId"].is_string() && problem["detail"].is_string(), "{problem:#}");
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }
    assert_eq!(world.api.get("/v1/workspaces").await, json!({"workspaces": []}));
}

/// Of every request with a body, as the document lists them.
#[tokio::test]
async fn a_list_is_never_taken_for_the_fields_of_a_request() {
    let world = World::start().await;
    let document: Value = world.api.get("/openapi.json").await;
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if !operation["requestBody"]["content"]["application/json"].is_object() {
                continue;
            }
            let path = path.replace("{workspace}", "demo");
            for list in [json!([]), json!([null]), json!([null, null]), json!(["demo", "fake", null])] {
                let method = method.to_uppercase().parse().unwrap();
                let response = world.api.request(method, &path).json(&list).send().await.unwrap();
                let status = response.status();
                let problem: Value = response.json().await.unwrap();
                assert_eq!(
                    (status.as_u16(), &problem["code"]),
                    (400, &json!("bad_request")),
                    "{path} {list}"
                );
            }
            asked += 1;
        }
    }
    assert!(asked >= 7, "{asked} requests have bodies");
    let nested = world.api.post("/v1/workspaces", &json!({"slug": "demo", "git": ["file:///x", null]})).await;
    assert_eq!(nested.status(), 400);
    assert_eq!(world.api.get("/v1/workspaces").await, json!({"workspaces": []}));
}

#[tokio::test]
async fn a_taken_slug_is_refused_and_the_first_workspace_is_untouched() {
    let world = World::start().await;
    let first = world.api.create(json!({"slug": "demo"})).await;
    let response = world.api.post("/v1/workspaces", &json!({"slug": "demo"})).await;
    assert_eq!(response.status(), 409);
    assert_eq!(response.json::<Value>().await.unwrap()["code"], "slug_taken");
    world.api.succeeded(&first).await;
}

#[tokio::test]
async fn a_repeated_idempotency_key_answers_with_the_first_operation() {
    let world = World::start().await;
    let create = async |body: Value| {
        let request = world.api.request(Method::POST, "/v1/workspaces").header("idempotency-key", "k1");
        request.json(&body).send().await.unwrap()
    };
    let first: Value = create(json!({"slug": "demo"})).await.json().await.unwrap();
    let again: Value = create(json!({"slug": "demo"})).await.json().await.unwrap();
    assert_eq!(first["operation"]["id"], again["operation"]["id"]);
    let other = create(json!({"slug": "other"})).await;
    assert_eq!(other.status(), 409);
    assert_eq!(other.json::<Value>().await.unwrap()["code"], "idempotency_conflict");
    world.api.ended(&first["operation"]).await;
}

#[tokio::test]
async fn a_delete_that_is_repeated_late_never_hits_a_successor_of_the_name() {
    let world = World::start().await;
    let delete = async || {
        let request =
            world.api.request(Method::DELETE, "/v1/workspaces/demo").header("idempotency-key", "k1");
        request.send().await.unwrap()
    };
    let first = world.api.create(json!({"slug": "demo"})).await;
    world.api.succeeded(&first).await;
    let deleted: Value = delete().await.json().await.unwrap();
    world.api.succeeded(&deleted["operation"]).await;
    let second = world.api.create(json!({"slug": "demo"})).await;
    world.api.succeeded(&second).await;
    let late = delete().await;
    assert_eq!(late.status(), 202);
    let late: Value = late.json().await.unwrap();
    assert_eq!(late["operation"]["id"], deleted["operation"]["id"], "the answer is the first one");
    assert_eq!(late["workspace"]["id"], first["workspaceId"]);
    assert_eq!(world.api.get("/v1/workspaces/demo").await["state"], "ready");
}

#[tokio::test]
async fn a_request_by_id_never_hits_a_successor_of_the_name() {
    let world = World::start().await;
    let first = world.api.create_ready("demo", "local").await;
    let id = first["id"].as_str().unwrap();
    assert_eq!(world.api.workspace(id).await, first, "an id names what the slug names");
    world.api.succeeded(&world.api.delete("demo").await).await;
    let second = world.api.create_ready("demo", "local").await;
    assert_ne!(first["id"], second["id"]);
    for (method, path) in [
        (Method::GET, format!("/v1/workspaces/{id}")),
        (Method::POST, format!("/v1/workspaces/{id}/stop")),
        (Method::DELETE, format!("/v1/workspaces/{id}")),
    ] {
        let late = world.api.request(method, &path).send().await.unwrap();
        assert_eq!(late.status(), 404, "{path}");
        assert_eq!(late.json::<Value>().await.unwrap()["code"], "workspace_not_found", "{path}");
    }
    assert_eq!(world.api.workspace("demo").await["state"], "ready");
}

#[tokio::test]
async fn every_refusal_is_a_problem_document() {
    let world = World::start().await;
    let large = "x".repeat(3 << 20);
    for (method, path, body, status, code) in [
        (Method::GET, "/v1/workspaces/demo/logs?bytes=-1", "", 400, "bad_request"),
        (Method::GET, "/v1/workspaces/demo/logs?bytes=1&bytes=2", "", 400, "bad_request"),
        (Method::DELETE, "/v1/providers/%FF/shared", "", 400, "bad_request"),
        (Method::GET, "/docs/errors/%FF", "", 400, "bad_request"),
        (Method::POST, "/v1/workspaces", large.as_str(), 413, "too_large"),
    ] {
        let response = world.api.request(method.clone(), path).body(body.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{method} {path}");
        assert_eq!(response.json::<Value>().await.unwrap()["code"], code, "{method} {path}");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_named() {
    let world = World::start().await;
    for (method, path, status, code) in [
        (Method::GET, "/v1/workspaces/nobody", 404, "workspace_not_found"),
        (Method::POST, "/v1/workspaces/nobody/start", 404, "workspace_not_found"),
        (Method::DELETE, "/v1/workspaces/nobody", 404, "workspace_not_found"),
        (Method::GET, "/v1/operations/op-0", 404, "operation_not_found"),
        (Method::GET, "/v1/operations/UPPER", 404, "operation_not_found"),
        (Method::GET, "/v2/anything", 404, "not_found"),
        (Method::PUT, "/v1/workspaces", 405, "method_not_allowed"),
    ] {
        let response = world.api.request(method.clone(), path).send().await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(response.json::<Value>().await.unwrap()["code"], code, "{method} {path}");
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_and_the_gateways_token_only_resolves() {
    let world = World::start().await;
    let gateway_token = std::fs::read_to_string(world.data.join("secrets/gateway-token")).unwrap();
    let ask = async |path: &str, token: Option<&str>| {
        let request = world.api.client.get(format!("{}{path}", world.api.orchestrator));
        let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap()["code"].clone())
    };
    let document: Value = world.api.get("/openapi.json").await;
    let closed = document["paths"].as_object().unwrap().keys().filter(|path| path.starts_with("/v1/"));
    for path in closed {
        let path = path.replace("{slug}", "demo").replace("{id}", "op-1");
        let (status, code) = ask(&path, None).await;
        assert!(status == 401 || status == 405, "{path}: {status}");
        assert!(code == "unauthorized" || status == 405, "{path}");
        assert_ne!(ask(&path, Some("pilot_admin_guess")).await.0, 200, "{path}");
    }
    assert_eq!(ask("/v1/workspaces", Some(gateway_token.trim())).await.0, 403);
    let resolved = ask("/v1/resolve/demo", Some(gateway_token.trim())).await;
    assert_eq!(resolved, (404, json!("workspace_not_found")));
}

#[tokio::test]
async fn a_busy_workspace_takes_one_change_that_waits_and_refuses_another_until_then() {
    let world = World::start().await;
    let create = world.api.create(json!({"slug": "demo"})).await;
    let stop = world.api.change("demo", "stop").await;
    let response = world.api.post("/v1/workspaces/demo/start", &json!({})).await;
    assert_eq!(response.status(), 409);
    let problem: Value = response.json().await.unwrap();
    assert_eq!(
        (problem["code"].as_str(), problem["retryable"].as_bool()),
        (Some("operation_in_progress"), Some(true))
    );
    world.api.succeeded(&create).await;
    world.api.succeeded(&stop).await;
    world.api.succeeded(&world.api.change("demo", "start").await).await;
}

#[tokio::test]
async fn every_error_code_has_a_page_that_the_server_shows() {
    let world = World::start().await;
    for code in contracts::ErrorCode::ALL {
        let response = world.api.client.get(format!("{}/docs/errors/{code}", world.api.orchestrator)).send();
        let page = response.await.unwrap().text().await.unwrap();
        assert!(page.starts_with(&format!("# {code}\n")), "{code}");
    }
}
