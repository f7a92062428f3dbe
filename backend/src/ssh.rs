//! SSH into the instance: one WebSocket carries one SSH connection to a server that is begun for it.
//!
//! The assertion has let the request through, and the key that it brings is the only one that this connection's server
//! takes. This part checks the request and pumps bytes; who starts the server, and as whom, is the init's part, through
//! [`SshServer`]. OpenCode is not asked, so that an instance whose OpenCode is broken can be repaired.

mod carry;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::Request;
use axum::response::Response;
use contracts::ssh::{HOST_KEY, KEY, PublicKey, SshInfo};
use contracts::{ErrorCode, Problem};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Of one instance at a time. Each is a few processes of its own.
const MOST_CONNECTIONS: usize = 32;
/// Between our 101 and the client's first byte lies nothing but the way there.
const UPGRADE_LIMIT: Duration = Duration::from_secs(20);

/// What can begin SSH servers in this instance.
#[async_trait]
pub trait SshServer: Send + Sync {
    /// As whom one logs in, and the host key, which is made at first use.
    async fn info(&self) -> Result<SshInfo, Problem>;

    /// Begins a server for one connection that takes this key and no other.
    async fn open(&self, key: &PublicKey) -> Result<SshConnection, Problem>;
}

/// A server that was begun, and the two ends of its connection.
pub struct SshConnection {
    pub info: SshInfo,
    pub input: Box<dyn AsyncWrite + Send + Unpin>,
    pub output: Box<dyn AsyncRead + Send + Unpin>,
    /// Dropped when the connection is over: then the server and all of its session end.
    pub alive: oneshot::Sender<()>,
}

/// The route's state: the server, and how many connections it may have yet.
pub(crate) struct Ssh {
    slots: Arc<Semaphore>,
}

impl Default for Ssh {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(MOST_CONNECTIONS)) }
    }
}

/// What is asked for.
pub(crate) enum Asked {
    Info(SshInfo),
    Connection(Response),
}

impl Ssh {
    pub(crate) async fn serve(&self, server: &dyn SshServer, request: Request) -> Result<Asked, Problem> {
        if *request.method() != Method::GET {
            return Err(Problem::new(ErrorCode::MethodNotAllowed, "/api/ssh answers GET only"));
        }
        if !proxy::wants_upgrade(&request) {
            return server.info().await.map(Asked::Info);
        }
        let accept = handshake(request.headers())?;
        let key = key(request.headers())?;
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| full())?;
        let connection = server.open(&key).await?;
        let host_key = HeaderValue::from_str(connection.info.host_key.as_str()).map_err(|_| {
            Problem::new(ErrorCode::Internal, "the instance's own SSH key cannot stand in a header")
        })?;
        tokio::spawn(connected(request, connection, slot));
        let mut response = Response::new(axum::body::Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        headers.insert(HOST_KEY, host_key);
        Ok(Asked::Connection(response))
    }
}

/// The slot is free again when the connection is over.
async fn connected(mut request: Request, connection: SshConnection, _slot: OwnedSemaphorePermit) {
    match tokio::time::timeout(UPGRADE_LIMIT, hyper::upgrade::on(&mut request)).await {
        Ok(Ok(upgraded)) => carry::carry(TokioIo::new(upgraded), connection).await,
        Ok(Err(error)) => tracing::debug!(%error, "an SSH connection was not upgraded"),
        Err(_) => tracing::debug!("an SSH connection was not upgraded in time"),
    }
}

/// The answer to the client's nonce.
fn handshake(headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    let refuse = |why: &str| {
        Problem::new(ErrorCode::BadRequest, why).with_action("`pilot ws ssh NAME` opens it as it has to be")
    };
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(refuse("the WebSocket is not of version 13"));
    }
    let nonce = headers.get(SEC_WEBSOCKET_KEY).ok_or_else(|| refuse("the WebSocket has no key"))?;
    HeaderValue::from_str(&derive_accept_key(nonce.as_bytes()))
        .map_err(|_| refuse("the WebSocket's key cannot be used"))
}

/// Exactly one: two would leave open which one counts.
fn key(headers: &HeaderMap) -> Result<PublicKey, Problem> {
    let refuse = |why: String| {
        Problem::new(ErrorCode::BadRequest, why)
            .with_action("`pilot ws ssh NAME` makes a key of its own and sends its public part")
    };
    let mut all = headers.get_all(KEY).iter();
    match (all.next(), all.next()) {
        (Some(only), None) => {
            let text = only.to_str().unwrap_or_default();
            text.parse().map_err(|error| refuse(format!("the header {KEY} is refused: {error}")))
        }
        _ => Err(refuse(format!("an SSH connection needs the header {KEY}, once"))),
    }
}

fn full() -> Problem {
    let detail = format!("the instance has {MOST_CONNECTIONS} SSH connections, and no more are taken");
    Problem::new(ErrorCode::ProviderCapacity, detail)
        .with_title("The instance takes no more SSH connections")
        .with_action(
            "end some of them; an editor's window has one or two, and `ssh -O exit` ends a shared one",
        )
}

#[cfg(test)]
mod tests;
