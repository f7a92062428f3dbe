//! What a simulated machine runs in tests: an HTTP server on `PILOT_LISTEN` that counts in memory, tells
//! of its environment and files, echoes WebSockets' handshakes and keeps a child. It ends on SIGTERM.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request};
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use futures_util::StreamExt;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("child") {
        std::future::pending::<()>().await;
    }
    if std::path::Path::new("behave-die").exists() {
        return ExitCode::from(7);
    }
    let Ok(program) = std::env::current_exe() else { return ExitCode::from(2) };
    let Ok(mut child) = tokio::process::Command::new(program).arg("child").spawn() else {
        return ExitCode::from(3);
    };
    let address = std::env::var("PILOT_LISTEN").unwrap_or_default();
    let Ok(listener) = tokio::net::TcpListener::bind(&address).await else { return ExitCode::from(4) };
    let Ok(mut term) = signal(SignalKind::terminate()) else { return ExitCode::from(5) };
    tokio::select! {
        _ = axum::serve(listener, routes()) => ExitCode::from(6),
        _ = term.recv() => {
            let _ = child.kill().await;
            ExitCode::SUCCESS
        }
    }
}

fn routes() -> Router {
    let counter = Arc::new(AtomicU64::new(0));
    let env =
        |Path(name): Path<String>| async move { std::env::var(name).map_err(|_| StatusCode::NOT_FOUND) };
    let count = move || async move { (counter.fetch_add(1, Ordering::SeqCst) + 1).to_string() };
    let host = |request: Request| async move {
        request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned()
    };
    Router::new()
        .route("/", get(|| async { "here" }))
        .route("/count", get(count))
        .route("/env/{name}", get(env))
        .route("/host", get(host))
        .route("/events", get(|| async { Sse::new(ticks()) }))
        .route("/echo", get(echo))
        .route("/exit/{code}", get(exit))
}

async fn exit(Path(code): Path<i32>) -> StatusCode {
    std::process::exit(code)
}

fn ticks() -> impl futures_util::Stream<Item = Result<Event, std::convert::Infallible>> {
    futures_util::stream::iter(0..3).then(|number: u32| async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(Event::default().data(number.to_string()))
    })
}

/// Accepts an upgrade and sends back what comes, without the frames of a WebSocket.
async fn echo(request: Request) -> Result<http::Response<axum::body::Body>, StatusCode> {
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let mut stream = hyper_util::rt::TokioIo::new(upgraded);
        let mut bytes = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut bytes).await {
            if stream.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    });
    http::Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .body(axum::body::Body::empty())
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
