//! Sends one request to one target and hands back the answer as it comes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::EXPECT;
use http::{Request, Response, StatusCode, Uri, Version};
use hyper::upgrade::OnUpgrade;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::watch;

use crate::body::{Body, BoxError, body};
use crate::headers::strip_hop_by_hop;
use crate::upgrade;

/// A target that does not take the connection in this time is unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Shorter than the 5 s after which common servers drop an idle connection: a request must not be sent
/// into one that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

const IDLE_PER_TARGET: usize = 32;
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `host:port`.
    pub authority: String,
    /// Whether it is spoken to through TLS, with a certificate for its host.
    pub tls: bool,
    /// Begins with `/`.
    pub path_and_query: String,
}

/// Why there is no answer to hand back. Nothing was sent when it is `Connect` or `Timeout`.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    #[error("{authority} refused the connection")]
    Connect { authority: String, source: BoxError },
    #[error("{authority} did not take the connection in time")]
    Timeout { authority: String, source: BoxError },
    #[error("{authority} broke off or did not answer in HTTP")]
    Upstream { authority: String, source: BoxError },
}

impl Target {
    /// In plain HTTP.
    pub fn plain(authority: impl Into<String>, path_and_query: impl Into<String>) -> Self {
        Self { authority: authority.into(), tls: false, path_and_query: path_and_query.into() }
    }
}

/// Made at the first target behind TLS: the system's certificates take time and memory.
#[derive(Debug, Clone)]
struct Tls {
    config: TlsConfig,
    client: Arc<OnceLock<Client<HttpsConnector<HttpConnector>, Body>>>,
}

/// Which certificates are good.
pub type TlsConfig = fn() -> Result<rustls::ClientConfig, BoxError>;

/// A pool of connections to any number of targets. Clones share it.
#[derive(Debug, Clone)]
pub struct Forwarder {
    plain: Client<HttpConnector, Body>,
    tls: Option<Tls>,
    closing: watch::Sender<bool>,
}

impl Default for Forwarder {
    fn default() -> Self {
        Self::new()
    }
}

impl Forwarder {
    pub fn new() -> Self {
        Self::with_connect_timeout(CONNECT_TIMEOUT)
    }

    /// Like `new`, with another limit on how long a target may take to accept a connection.
    pub fn with_connect_timeout(limit: Duration) -> Self {
        Self { plain: pool().build(connector(limit)), tls: None, closing: watch::Sender::new(false) }
    }

    /// Reaches targets behind TLS as well.
    pub fn with_tls(self, config: TlsConfig) -> Self {
        Self { tls: Some(Tls { config, client: Arc::default() }), ..self }
    }

    /// Forwards one request. The `Host` header is passed on as it is; remove it to send the target's.
    ///
    /// There is no limit on how long the answer may take: an event stream lives for hours. Dropping
    /// the future or the answer's body ends the upstream request.
    pub async fn forward(
        &self,
        request: Request<Body>,
        target: &Target,
    ) -> Result<Response<Body>, ForwardError> {
        let wants_upgrade = upgrade::wants_upgrade(&request);
        let (request, client_side) = self.prepare(request, target, wants_upgrade)?;
        let sent = match (&self.tls, target.tls) {
            (_, false) => self.plain.request(request).await,
            (Some(tls), true) => {
                tls.client().map_err(|error| upstream(target, error))?.request(request).await
            }
            (None, true) => return Err(upstream(target, "this program has no TLS")),
        };
        let mut response = sent.map_err(|error| classify(error, &target.authority))?;

        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let client_side = client_side.filter(|_| wants_upgrade);
            return upgrade::accept(client_side, response, self.closing.subscribe())
                .map_err(|source| upstream(target, source));
        }
        strip_hop_by_hop(response.headers_mut());
        *response.version_mut() = Version::HTTP_11;
        Ok(response.map(body))
    }

    /// Ends every open tunnel and those that would still open; plain requests are not touched.
    pub fn close_tunnels(&self) {
        self.closing.send_replace(true);
    }

    fn prepare(
        &self,
        mut request: Request<Body>,
        target: &Target,
        wants_upgrade: bool,
    ) -> Result<(Request<Body>, Option<OnUpgrade>), ForwardError> {
        *request.uri_mut() = Uri::builder()
            .scheme(if target.tls { "https" } else { "http" })
            .authority(target.authority.as_str())
            .path_and_query(target.path_and_query.as_str())
            .build()
            .map_err(|error| upstream(target, error))?;
        *request.version_mut() = Version::HTTP_11;
        // What the server put there is about the client's connection; the next one has its own.
        let client_side = std::mem::take(request.extensions_mut()).remove::<OnUpgrade>();
        let headers = request.headers_mut();
        strip_hop_by_hop(headers);
        // Our own server has answered it, by reading the body.
        headers.remove(EXPECT);
        if wants_upgrade {
            upgrade::ask(headers);
        }
        Ok((request, client_side))
    }
}

impl Tls {
    fn client(&self) -> Result<&Client<HttpsConnector<HttpConnector>, Body>, BoxError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let mut connector = connector(CONNECT_TIMEOUT);
        connector.enforce_http(false);
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config((self.config)()?)
            .https_only()
            .enable_http1()
            .wrap_connector(connector);
        Ok(self.client.get_or_init(|| pool().build(https)))
    }
}

fn connector(limit: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(limit));
    connector.set_nodelay(true);
    connector.set_keepalive(Some(TCP_KEEPALIVE));
    connector
}

fn pool() -> hyper_util::client::legacy::Builder {
    let mut pool = Client::builder(TokioExecutor::new());
    pool.pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_TARGET);
    pool
}

fn upstream(target: &Target, source: impl Into<BoxError>) -> ForwardError {
    ForwardError::Upstream { authority: target.authority.clone(), source: source.into() }
}

fn classify(error: hyper_util::client::legacy::Error, authority: &str) -> ForwardError {
    let authority = authority.to_owned();
    if !error.is_connect() {
        return ForwardError::Upstream { authority, source: error.into() };
    }
    if timed_out(&error) {
        return ForwardError::Timeout { authority, source: error.into() };
    }
    ForwardError::Connect { authority, source: error.into() }
}

fn timed_out(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut)
    })
}
