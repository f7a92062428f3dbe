//! What the tests put before and behind a hop: small servers on free ports of the loopback.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{Body, ForwardError, Forwarder, Target, body, full};

/// A server that answers every request with `handler`.
pub async fn server<F, A>(handler: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let handler = handler.clone();
            let service = service_fn(move |request| {
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection.with_upgrades());
        }
    });
    address
}

/// A server that reads one request head and then does with the socket what `script` says.
pub async fn scripted<F, A>(script: F) -> SocketAddr
where
    F: Fn(TcpStream, String) -> A + Send + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = read_head(&mut stream).await;
            tokio::spawn(script(stream, head));
        }
    });
    address
}

/// A hop that forwards everything to `upstream`.
pub async fn hop(upstream: SocketAddr) -> SocketAddr {
    hop_with(Forwarder::new(), upstream).await
}

pub async fn hop_with(forwarder: Forwarder, upstream: SocketAddr) -> SocketAddr {
    server(move |request| {
        let forwarder = forwarder.clone();
        async move {
            let path_and_query = request.uri().path_and_query().unwrap().to_string();
            let target = Target::plain(upstream.to_string(), path_and_query);
            match forwarder.forward(request.map(body), &target).await {
                Ok(response) => response,
                Err(error) => failure(&error),
            }
        }
    })
    .await
}

fn failure(error: &ForwardError) -> Response<Body> {
    let kind = match error {
        ForwardError::Connect { .. } => "connect",
        ForwardError::Timeout { .. } => "timeout",
        ForwardError::Upstream { .. } => "upstream",
    };
    Response::builder().status(502).body(full(kind)).unwrap()
}

/// Opens a connection and writes a request as it stands.
pub async fn send(to: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).await.unwrap();
    stream
}

/// Reads up to the empty line; what follows stays in the socket. In lower case, for comparisons.
pub async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = soon(stream.read_u8()).await;
        match byte {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

/// Reads until the text seen so far contains `wanted`.
pub async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(wanted) {
        let mut buffer = [0; 4096];
        let count = soon(stream.read(&mut buffer)).await.unwrap();
        assert!(count > 0, "the connection ended without {wanted:?}: {seen:?}");
        seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    seen
}

/// Reads to the end of the connection.
pub async fn read_all(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    // A reset after the last byte is an end as well.
    let _ = soon(stream.read_to_end(&mut all)).await;
    String::from_utf8(all).unwrap()
}

/// No step of a test takes longer than this.
pub async fn soon<F: Future>(step: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(10), step).await.expect("the step takes too long")
}

/// Polls until the condition holds.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
