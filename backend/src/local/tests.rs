use std::sync::Arc;

use axum::Router;
use axum::extract::Request as Incoming;
use http_body_util::BodyExt;
use tokio::net::TcpListener;

use super::*;
use crate::testing::identity;

/// A pretended OpenCode that echoes what it was asked.
async fn upstream(
    answer: impl Fn(Incoming) -> Response<axum::body::Body> + Clone + Send + Sync + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = Router::new().fallback(move |request: Incoming| std::future::ready(answer(request)));
    tokio::spawn(async move { axum::serve(listener, app).await });
    port
}

fn adapter(port: u16, status: Status) -> (Arc<LocalAdapter>, watch::Sender<Status>) {
    let (sender, receiver) = watch::channel(status);
    let target = OpenCodeTarget::loopback(port, "secret").unwrap();
    let adapter = LocalAdapter::new(identity(), target, receiver).with_hold(Duration::from_millis(300));
    (Arc::new(adapter), sender)
}

fn get(uri: &str) -> Request<Body> {
    Request::builder().uri(uri).body(proxy::empty()).unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn the_password_is_added_and_the_callers_credentials_are_not_passed_on() {
    let port = upstream(|request| {
        let headers = request.headers();
        let seen = format!(
            "{} {} {}",
            request.uri(),
            headers["authorization"].to_str().unwrap(),
            headers.contains_key(contracts::headers::ASSERTION)
        );
        Response::new(seen.into())
    })
    .await;
    let (adapter, _status) = adapter(port, Status::ok("1"));
    let mut request = get("/api/session");
    request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Bearer caller"));
    request.headers_mut().insert(contracts::headers::ASSERTION, HeaderValue::from_static("x"));
    let answer = text(adapter.proxy(request, "/session?a=1").await.unwrap()).await;
    assert_eq!(answer, format!("/session?a=1 Basic {} false", STANDARD.encode("opencode:secret")));
}

#[tokio::test]
async fn a_request_waits_while_opencode_starts() {
    let port = upstream(|_| Response::new("hello".into())).await;
    let (adapter, status) = adapter(port, Status::starting("OpenCode is starting"));
    let waiting = tokio::spawn({
        let adapter = adapter.clone();
        async move { adapter.proxy(get("/"), "/session").await.map(|response| response.status()) }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    status.send_replace(Status::ok("1"));
    assert_eq!(waiting.await.unwrap().unwrap(), 200);
}

#[tokio::test]
async fn a_request_that_waited_in_vain_is_told_why() {
    let (adapter, _status) = adapter(1, Status::starting("file:///x is being cloned"));
    let problem = adapter.proxy(get("/"), "/session").await.unwrap_err();
    assert_eq!(problem.code, ErrorCode::OpencodeUnavailable);
    assert!(problem.detail.contains("is being cloned"), "{problem}");
}

#[tokio::test]
async fn a_failed_boot_is_told_at_once_with_its_own_code() {
    let failed = Status {
        health: HealthStatus::Failed,
        version: None,
        detail: Some("no binary".to_owned()),
        code: Some(ErrorCode::OpencodeMissing),
    };
    let (adapter, _status) = adapter(1, failed);
    let adapter = Arc::into_inner(adapter).unwrap().with_hold(Duration::from_secs(3600));
    let problem = adapter.proxy(get("/"), "/session").await.unwrap_err();
    assert_eq!(problem.code, ErrorCode::OpencodeMissing);
    assert!(problem.detail.contains("no binary"));
}

#[tokio::test]
async fn an_opencode_that_just_died_is_unavailable() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (adapter, _status) = adapter(port, Status::ok("1"));
    let problem = adapter.proxy(get("/"), "/session").await.unwrap_err();
    assert_eq!((problem.code, problem.status), (ErrorCode::OpencodeUnavailable.into(), 503));
}

#[tokio::test]
async fn no_browser_is_asked_for_opencodes_password() {
    let port = upstream(|request| {
        let mut response = Response::new("no".into());
        if request.uri().path() == "/stranger" {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        }
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"x\""));
        response
    })
    .await;
    let (adapter, _status) = adapter(port, Status::ok("1"));
    let problem = adapter.proxy(get("/"), "/stranger").await.unwrap_err();
    assert_eq!(problem.code, ErrorCode::OpencodeUnavailable);
    let response = adapter.proxy(get("/"), "/session").await.unwrap();
    assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
}

#[tokio::test]
async fn an_event_stream_arrives_piece_by_piece() {
    let port = upstream(|_| {
        let mut response = Response::new(axum::body::Body::new(OneEvent { sent: false }));
        response.headers_mut().insert("content-type", HeaderValue::from_static("text/event-stream"));
        response
    })
    .await;
    let (adapter, _status) = adapter(port, Status::ok("1"));
    let mut body = adapter.proxy(get("/"), "/event").await.unwrap().into_body();
    let frame = tokio::time::timeout(Duration::from_secs(5), body.frame()).await.unwrap().unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "data: 1\n\n", "although the stream never ends");
}

/// One event, then silence for ever.
struct OneEvent {
    sent: bool,
}

impl http_body::Body for OneEvent {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        if std::mem::replace(&mut self.sent, true) {
            return std::task::Poll::Pending;
        }
        let line = bytes::Bytes::from_static(b"data: 1\n\n");
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(line))))
    }
}

#[test]
fn the_password_is_not_in_the_debug_output() {
    let target = OpenCodeTarget::loopback(4096, "secret").unwrap();
    let shown = format!("{target:?}");
    assert!(!shown.contains("secret") && !shown.contains(&STANDARD.encode("opencode:secret")), "{shown}");
}

#[test]
fn the_ui_opens_on_the_workspace() {
    let (_sender, status) = watch::channel(Status::starting("booting"));
    let target = OpenCodeTarget::loopback(4096, "secret").unwrap();
    let adapter = LocalAdapter::new(identity(), target, status);
    assert_eq!(adapter.landing(), None);
    assert_eq!(adapter.with_workspace(Path::new("/w")).landing().as_deref(), Some("/L3c/session"));
}
