//! The fake instance, and what flows through the gateway: event streams, WebSockets, cut-off answers.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::tests::world::{ADMIN, World};

/// Answers with the request it got, or plays a part that its path names.
pub async fn instance(mut request: Request) -> Response {
    let path = request.uri().path().trim_start_matches("/api").to_owned();
    match path.as_str() {
        "/events" => {
            // Two events, then silence for ever.
            let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from("data: 1\n\n"))]);
            let later = futures_util::stream::once(async { Ok(Bytes::from("data: 2\n\n")) });
            let body = Body::from_stream(first.chain(later).chain(futures_util::stream::pending()));
            ([("content-type", "text/event-stream")], body).into_response()
        }
        "/cut" => {
            let half = futures_util::stream::once(async { Ok(Bytes::from("half")) });
            let broken = half.chain(futures_util::stream::once(async {
                // Time for the first half to be sent.
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(std::io::Error::other("cut"))
            }));
            Body::from_stream(broken).into_response()
        }
        "/refuse" => {
            let kind = [("content-type", "application/problem+json")];
            (StatusCode::UNAUTHORIZED, kind, "{}").into_response()
        }
        "/evil" => Response::builder()
            .status(401)
            .header("www-authenticate", "Basic")
            .header("set-cookie", "pilot_session=evil; Path=/")
            .header("set-cookie", "app=1; Domain=localhost; Path=/")
            .header("x-pilot-request-id", "of-the-instance")
            .body(Body::empty())
            .unwrap(),
        "/ws" => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
                let (mut reader, mut writer) = tokio::io::split(&mut stream);
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
            let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
            (StatusCode::SWITCHING_PROTOCOLS, upgrade).into_response()
        }
        _ => echo(request).await.into_response(),
    }
}

async fn echo(request: Request) -> axum::Json<Value> {
    let (head, body) = request.into_parts();
    let headers: Vec<_> =
        head.headers.iter().map(|(name, value)| json!([name.as_str(), value.to_str().unwrap()])).collect();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    axum::Json(json!({
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "headers": headers,
        "bytes": body.len(),
    }))
}

#[tokio::test]
async fn events_arrive_one_by_one_while_the_stream_stays_open() {
    let world = World::new().await;
    for (slug, path) in [("demo", "/events"), ("", "/api/chamber/workspaces/demo/events")] {
        let response = world.get(slug, path).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut stream = response.bytes_stream();
        let mut seen = String::new();
        while !seen.ends_with("data: 2\n\n") {
            let next =
                tokio::time::timeout(Duration::from_secs(10), stream.next()).await.expect("an event is late");
            seen.push_str(std::str::from_utf8(&next.unwrap().unwrap()).unwrap());
        }
        assert_eq!(seen, "data: 1\n\ndata: 2\n\n");
    }
}

#[tokio::test]
async fn an_answer_that_the_instance_cuts_off_does_not_look_complete() {
    let world = World::new().await;
    let response = world.get("demo", "/cut").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err());
}

#[tokio::test]
async fn a_large_upload_arrives_whole() {
    let world = World::new().await;
    let chunk = Bytes::from(vec![1; 64 * 1024]);
    let chunks = futures_util::stream::iter((0..256).map(move |_| Ok::<_, std::io::Error>(chunk.clone())));
    let request = world.request("POST", "demo", "/upload").bearer_auth(ADMIN);
    let answer: Value =
        request.body(reqwest::Body::wrap_stream(chunks)).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["bytes"], 16 * 1024 * 1024);
}

/// Opens a WebSocket handshake and hands back the socket and the head of the answer.
pub async fn handshake(world: &World, slug: &str, path: &str, extra: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(world.gateway.address()).await.unwrap();
    let host = world.authority(slug);
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n{extra}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(Duration::from_secs(10), stream.read_u8()).await.expect("no answer");
        head.push(byte.unwrap());
    }
    (stream, String::from_utf8(head).unwrap())
}

#[tokio::test]
async fn a_websocket_carries_bytes_both_ways() {
    let world = World::new().await;
    let cookie = world.session("demo").await;
    let origin = world.authority("demo");
    let extra = format!("cookie: {cookie}\r\norigin: http://{origin}");
    let (mut stream, head) = handshake(&world, "demo", "/ws", &extra).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    for text in [&b"ping"[..], b"and again"] {
        stream.write_all(text).await.unwrap();
        let mut back = vec![0; text.len()];
        tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(back, text);
    }
}

#[tokio::test]
async fn a_websocket_from_another_sites_page_or_without_a_login_is_refused() {
    let world = World::new().await;
    let cookie = world.session("demo").await;
    let (_, head) =
        handshake(&world, "demo", "/ws", &format!("cookie: {cookie}\r\norigin: http://evil.example")).await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    let (_, head) = handshake(&world, "demo", "/ws", "x-nothing: 1").await;
    assert!(head.starts_with("HTTP/1.1 401"), "{head}");
}
