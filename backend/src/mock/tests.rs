use super::*;
use crate::testing::identity;

async fn send(mock: &MockAdapter, method: &str, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { proxy::empty() } else { proxy::full(body.to_string()) };
    let request = Request::builder().method(method).uri(path).body(body).unwrap();
    let response = mock.proxy(request, path).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// The next event of a stream, without its `data: `.
async fn event(body: &mut Body) -> Value {
    let frame = tokio::time::timeout(Duration::from_secs(5), body.frame()).await.expect("an event in time");
    let bytes = frame.unwrap().unwrap().into_data().unwrap();
    let text = std::str::from_utf8(&bytes).unwrap();
    serde_json::from_str(text.strip_prefix("data: ").unwrap().trim_end()).unwrap()
}

async fn stream(mock: &MockAdapter, path: &str) -> Body {
    let request = Request::builder().uri(path).body(proxy::empty()).unwrap();
    mock.proxy(request, path).await.unwrap().into_body()
}

#[tokio::test]
async fn a_created_session_is_listed_prompted_and_deleted() {
    let mock = MockAdapter::new(identity());
    assert_eq!(send(&mock, "GET", "/session", Value::Null).await, (200, json!([])));
    let (_, session) = send(&mock, "POST", "/session?directory=/w", json!({"title": "t"})).await;
    assert_eq!(session["title"], "t");
    let id = session["id"].as_str().unwrap();

    let parts = json!({"parts": [{"type": "text", "text": "Say hello"}]});
    let (_, answer) = send(&mock, "POST", &format!("/session/{id}/message"), parts.clone()).await;
    assert_eq!(answer["info"]["role"], "assistant");
    assert_eq!(send(&mock, "POST", &format!("/session/{id}/prompt_async"), parts).await.0, 204);
    let (_, messages) = send(&mock, "GET", &format!("/session/{id}/message"), Value::Null).await;
    assert_eq!(messages.as_array().unwrap().len(), 4);
    assert_eq!(messages[0]["parts"][0]["text"], "Say hello");

    assert_eq!(send(&mock, "DELETE", &format!("/session/{id}"), Value::Null).await, (200, json!(true)));
    assert_eq!(send(&mock, "GET", &format!("/session/{id}"), Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_prompt_is_seen_live_on_both_streams() {
    let mock = MockAdapter::new(identity());
    let (mut plain, mut global) = (stream(&mock, "/event").await, stream(&mock, "/global/event").await);
    assert_eq!(event(&mut plain).await["type"], "server.connected");
    assert_eq!(event(&mut global).await["payload"]["type"], "server.connected");

    let (_, session) = send(&mock, "POST", "/session", json!({})).await;
    let path = format!("/session/{}/prompt_async", session["id"].as_str().unwrap());
    send(&mock, "POST", &path, json!({"parts": []})).await;

    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|kind| kind != "session.idle") {
        kinds.push(event(&mut plain).await["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(kinds[0], "session.created");
    assert!(kinds.iter().filter(|kind| *kind == "message.part.delta").count() > 1);
    let wrapped = event(&mut global).await;
    assert_eq!(
        (&wrapped["directory"], &wrapped["payload"]["type"]),
        (&json!(DIRECTORY), &json!("session.created"))
    );
}

#[tokio::test]
async fn a_silent_stream_carries_heartbeats() {
    let events = Events::new(Duration::from_millis(10));
    let mock = MockAdapter { events, ..MockAdapter::new(identity()) };
    let mut body = stream(&mock, "/event").await;
    event(&mut body).await;
    assert_eq!(event(&mut body).await["type"], "server.heartbeat");
}

#[tokio::test]
async fn what_a_ui_reads_at_boot_is_there_and_the_rest_is_a_404() {
    let mock = MockAdapter::new(identity());
    for path in [
        "/config",
        "/config/providers",
        "/provider",
        "/path",
        "/project",
        "/project/current",
        "/agent",
        "/command",
        "/mcp",
        "/lsp",
        "/vcs",
        "/question",
        "/permission",
        "/global/health",
        "/session/status",
    ] {
        assert_eq!(send(&mock, "GET", path, Value::Null).await.0, 200, "{path}");
    }
    let (status, error) = send(&mock, "GET", "/nope", Value::Null).await;
    assert_eq!((status, &error["name"]), (404, &json!("NotFoundError")));
    assert_eq!(mock.health().await.open_code.version.as_deref(), Some("mock"));
}

#[tokio::test]
async fn a_body_that_is_no_json_is_a_bad_request() {
    let mock = MockAdapter::new(identity());
    let request = Request::builder().method("POST").uri("/session").body(proxy::full("{")).unwrap();
    assert_eq!(mock.proxy(request, "/session").await.unwrap().status(), 400);
}
