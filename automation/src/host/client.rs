//! HTTP/1.1 over the host's unix socket: a connection for each request, closed when its answer is dropped.

use std::path::Path;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::wire::{Cancel, Cancelled, Fault, Health, Run};
use crate::wire::MAX_MESSAGE;

/// How long a request may take that is answered at once.
const AT_ONCE: Duration = Duration::from_secs(10);

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing was sent: it may be tried again, elsewhere.
    Unreachable(String),
    /// It may have been read, and even done.
    Broken(String),
    /// The host does not take it.
    Refused(Fault),
}

/// An answer whose lines are read one after the other. Dropping it closes the connection.
pub(super) struct Lines {
    body: Incoming,
    buffer: BytesMut,
    /// What of the buffer was searched already.
    searched: usize,
    _connection: Connection,
}

struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) async fn health(socket: &Path) -> Result<Health, Failure> {
    short(socket, Request::get("/v1/health"), Bytes::new()).await
}

pub(super) async fn cancel(socket: &Path, cancel: &Cancel) -> Result<Cancelled, Failure> {
    short(socket, Request::post("/v1/cancel"), json(cancel)?).await
}

/// Begins a run. There is no deadline for its answer: whoever waits for it has one.
pub(super) async fn run(socket: &Path, run: &Run) -> Result<Lines, Failure> {
    let (body, connection) = send(socket, Request::post("/v1/run"), json(run)?).await?;
    Ok(Lines { body, buffer: BytesMut::new(), searched: 0, _connection: connection })
}

impl Lines {
    /// The next line without its end, or none when the answer is complete. What is not read yet stays in
    /// the socket, so that a slow reader slows the host down and fills no memory. May be cancelled.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + at).freeze();
                self.buffer.advance(1);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.searched > MAX_MESSAGE {
                return Err(Failure::Broken("a line is too long".to_owned()));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.buffer.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
                Some(Err(error)) => return Err(Failure::Broken(error.to_string())),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(Failure::Broken("the last line has no end".to_owned())),
            }
        }
    }
}

fn json(message: &impl Serialize) -> Result<Bytes, Failure> {
    serde_json::to_vec(message).map(Bytes::from).map_err(|error| Failure::Unreachable(error.to_string()))
}

/// A request with a small answer.
async fn short<T: DeserializeOwned>(
    socket: &Path,
    request: http::request::Builder,
    body: Bytes,
) -> Result<T, Failure> {
    let answer = async {
        let (body, _connection) = send(socket, request, body).await?;
        read(body).await
    };
    let late = |_| Failure::Broken(format!("no answer within {AT_ONCE:?}"));
    tokio::time::timeout(AT_ONCE, answer).await.map_err(late)?
}

async fn send(
    socket: &Path,
    request: http::request::Builder,
    body: Bytes,
) -> Result<(Incoming, Connection), Failure> {
    let unreachable = |error: &dyn std::fmt::Display| Failure::Unreachable(error.to_string());
    let request = request
        .header(http::header::HOST, "localhost")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| unreachable(&error))?;
    let stream = UnixStream::connect(socket).await.map_err(|error| unreachable(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(&error))?;
    let connection = Connection(tokio::spawn(async move {
        // Its end is told to whoever reads the answer.
        let _ = connection.await;
    }));
    let answer = sender.send_request(request).await.map_err(|error| Failure::Broken(error.to_string()))?;
    let (head, body) = answer.into_parts();
    if head.status == StatusCode::OK {
        return Ok((body, connection));
    }
    match tokio::time::timeout(AT_ONCE, read::<Fault>(body)).await {
        Ok(Ok(fault)) => Err(Failure::Refused(fault)),
        _ => Err(Failure::Broken(format!("it answered {}", head.status))),
    }
}

async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Failure> {
    let broken = |error: &dyn std::fmt::Display| Failure::Broken(error.to_string());
    let body = http_body_util::Limited::new(body, 1 << 20);
    let bytes = body.collect().await.map_err(|error| broken(&error))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| broken(&error))
}
