//! WebSocket tunnels: bytes both ways, opened only after the upstream agreed with its 101.
//!
//! Only `websocket` is tunnelled. Any other protocol (`h2c` above all) would be a way around the
//! checks of this hop, so its Upgrade header is dropped and the request goes on as a plain one.

use http::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::watch;

use crate::body::{Body, BoxError, empty};
use crate::headers::{strip_hop_by_hop, tokens};

const WEBSOCKET: &str = "websocket";

/// True when the request asks for a WebSocket: HTTP/1.1 GET, `Connection: upgrade`, `Upgrade: websocket`.
pub fn wants_upgrade<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && names_websocket(request.headers())
}

/// Puts the two headers of an upgrade back after the hop-by-hop headers were removed.
pub(crate) fn ask(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
}

/// Turns the upstream's 101 into ours and starts the tunnel, which lives until either side ends it or
/// `closing` turns true.
pub(crate) fn accept(
    client: Option<OnUpgrade>,
    mut upstream: Response<hyper::body::Incoming>,
    closing: watch::Receiver<bool>,
) -> Result<Response<Body>, BoxError> {
    let client = client.ok_or("the client's connection cannot be upgraded")?;
    if !names_websocket(upstream.headers()) {
        return Err("the upstream switched to a protocol that was not asked for".into());
    }
    let upstream_side = hyper::upgrade::on(&mut upstream);
    tokio::spawn(tunnel(client, upstream_side, closing));

    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = std::mem::take(upstream.headers_mut());
    strip_hop_by_hop(response.headers_mut());
    ask(response.headers_mut());
    Ok(response)
}

async fn tunnel(client: OnUpgrade, upstream: OnUpgrade, mut closing: watch::Receiver<bool>) {
    let copy = async {
        let (client, upstream) = tokio::try_join!(client, upstream)?;
        copy(client, upstream).await
    };
    let ended = tokio::select! {
        ended = copy => ended,
        _ = closing.wait_for(|closed| *closed) => Ok(()),
    };
    // A tab that is closed without a goodbye is everyday business, not a fault of ours.
    if let Err(error) = ended {
        tracing::debug!(%error, "a tunnel ended early");
    }
}

async fn copy(client: Upgraded, upstream: Upgraded) -> Result<(), BoxError> {
    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
    tokio::io::copy_bidirectional(&mut client, &mut upstream).await?;
    Ok(())
}

fn names_websocket(headers: &HeaderMap) -> bool {
    let mut protocols = tokens(headers, &UPGRADE);
    // Exactly one: a list would leave the choice to the upstream.
    let only_websocket = protocols.next().is_some_and(|token| token.eq_ignore_ascii_case(WEBSOCKET))
        && protocols.next().is_none();
    only_websocket && tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"))
}
