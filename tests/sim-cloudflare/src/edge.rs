//! `https://SCRIPT.SUBDOMAIN.workers.dev`, or a domain of the account's: brings a request to the script's `workerd`, streamed both ways,
//! WebSockets included. Over plain HTTP here; a client is told the host name by its `Host` header.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{Html, IntoResponse as _, Response};
use http::StatusCode;
use http::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::cloud::Cloud;
use crate::gate;
use crate::objects::{Domain, Script};

pub fn routes(cloud: Arc<Cloud>) -> Router {
    Router::new().fallback(forward).with_state(cloud)
}

async fn forward(State(cloud): State<Arc<Cloud>>, request: Request) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    let name = match script_at(&cloud, host) {
        Found::Script(name) => name,
        Found::Nothing => {
            return (StatusCode::NOT_FOUND, Html("<h1>There is nothing here yet</h1>")).into_response();
        }
        Found::Nobody => return gate::no_connection(),
    };
    let Some(port) = cloud.workers.port(&name).await else {
        return (StatusCode::INTERNAL_SERVER_ERROR, Html("<h1>error code: 1101</h1>")).into_response();
    };
    match pass_on(port, request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::warn!(script = name, %error, "the Worker did not answer");
            (StatusCode::INTERNAL_SERVER_ERROR, Html("<h1>error code: 1101</h1>")).into_response()
        }
    }
}

/// What is behind a host name.
enum Found {
    Script(String),
    /// Cloudflare answers, and has no script there.
    Nothing,
    /// There is no record or no certificate, so no connection is made.
    Nobody,
}

/// On the subdomain, or a domain of the account's.
fn script_at(cloud: &Cloud, host: &str) -> Found {
    let script = |name: &str| cloud.journal.get::<Script>(name);
    let found = |script: Option<Script>| script.map_or(Found::Nothing, |script| Found::Script(script.name));
    let subdomain = format!(".{}.workers.dev", cloud.options.subdomain);
    if let Some(name) = host.strip_suffix(&subdomain) {
        return found(script(name).filter(|script| cloud.is_known(script)));
    }
    let is_served = |domain: &Domain| domain.hostname == host && cloud.is_served(domain);
    let domain = cloud.journal.all::<Domain>().into_iter().find(is_served);
    domain.map_or(Found::Nobody, |domain| found(script(&domain.service)))
}

async fn pass_on(port: u16, mut request: Request) -> anyhow::Result<Response> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move { drop(connection.with_upgrades().await) });
    let upstream_path = request.uri().path_and_query().map_or("/".to_owned(), ToString::to_string);
    *request.uri_mut() = upstream_path.parse()?;
    let client = hyper::upgrade::on(&mut request);
    let mut response = sender.send_request(request).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let worker = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            let (client, worker) = tokio::try_join!(client, worker)?;
            let (mut client, mut worker) = (TokioIo::new(client), TokioIo::new(worker));
            tokio::io::copy_bidirectional(&mut client, &mut worker).await?;
            anyhow::Ok(())
        });
    }
    Ok(response.map(Body::new))
}
