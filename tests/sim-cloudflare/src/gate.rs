//! What every call passes: it gets a ray id, is written down, is limited, and meets the faults.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER, SERVER};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::call::{Call, Surface};
use crate::cloud::Cloud;
use crate::envelope::ApiError;
use crate::fault::Kind;
use crate::limit::Allowance;

const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>502: Bad gateway</title></head>\
                    <body><h1>Bad gateway</h1><p>cloudflare</p></body></html>\n";

/// Another program may hold the port for a moment.
const REBIND: Duration = Duration::from_millis(50);

/// The connection ends without an answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cut")]
struct Cut;

/// In place of an answer, where nobody would take a connection: it is cut.
pub fn no_connection() -> Response {
    let mut response = StatusCode::MISDIRECTED_REQUEST.into_response();
    response.extensions_mut().insert(Cut);
    response
}

/// One of Cloudflare's entrances.
#[derive(Clone)]
pub struct Gate {
    pub surface: Surface,
    pub cloud: Arc<Cloud>,
    pub routes: Router,
}

impl Gate {
    /// Serves while the network is up, until `stop`. While it is down there is no listener at all.
    pub async fn serve(
        self,
        listener: TcpListener,
        mut network: watch::Receiver<bool>,
        stop: CancellationToken,
    ) {
        let Ok(address) = listener.local_addr() else { return };
        let mut listener = Some(listener);
        while !stop.is_cancelled() {
            let Some(open) = listener.take() else {
                let Ok(bound) = TcpListener::bind(address).await else {
                    tokio::time::sleep(REBIND).await;
                    continue;
                };
                listener = Some(bound);
                continue;
            };
            self.accept(open, &mut network, &stop).await;
            tokio::select! {
                _ = network.wait_for(|up| *up) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Takes connections until the network goes down; those that are there go down with it.
    async fn accept(
        &self,
        listener: TcpListener,
        network: &mut watch::Receiver<bool>,
        stop: &CancellationToken,
    ) {
        let down = stop.child_token();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = network.wait_for(|up| !*up) => break,
                () = stop.cancelled() => break,
            };
            let Ok((stream, _)) = accepted else { continue };
            let (gate, down) = (self.clone(), down.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = gate.connection(stream) => {}
                    () = down.cancelled() => {}
                }
            });
        }
        down.cancel();
    }

    async fn connection(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request| {
            let gate = self.clone();
            async move { gate.pass(request).await }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        // A cut ends here as well.
        let _ = served.await;
    }

    async fn pass(self, request: Request<Incoming>) -> Result<Response, Cut> {
        let ray = format!("{:016x}-SIM", rand::random::<u64>());
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        let shown = request.uri().path_and_query().map_or(path.clone(), ToString::to_string);
        let call = Call {
            surface: self.surface,
            method: method.clone(),
            path: shown,
            status: None,
            ray: ray.clone(),
        };
        let number = self.cloud.calls.arrived(call);
        let allowance = match self.allowance(&request) {
            Ok(allowance) => allowance,
            Err(wait) => {
                let response = instead(request, too_many(Some(wait.as_secs() + 1))).await;
                return Ok(self.sign(number, response, &ray, None));
            }
        };
        let fault = self.cloud.faults.take(self.surface, &method, &path);
        let response = match fault {
            Some(Kind::Status { status, body }) => instead(request, status_of(status, body)).await,
            Some(Kind::Delay { ms }) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                self.apply(request).await
            }
            Some(Kind::Hang) => std::future::pending().await,
            Some(Kind::CutBefore) => return Err(Cut),
            Some(Kind::CutAfter) => {
                self.apply(request).await;
                return Err(Cut);
            }
            Some(Kind::TruncatedJson) => half(self.apply(request).await).await,
            Some(Kind::Html) => {
                instead(request, (StatusCode::BAD_GATEWAY, axum::response::Html(PAGE)).into_response()).await
            }
            Some(Kind::TooMany { retry_after }) => instead(request, too_many(retry_after)).await,
            None => self.apply(request).await,
        };
        if response.extensions().get::<Cut>().is_some() {
            return Err(Cut);
        }
        Ok(self.sign(number, response, &ray, allowance))
    }

    /// To the end, even when the caller has gone: what was received is carried out.
    async fn apply(&self, request: Request<Incoming>) -> Response {
        let service = TowerToHyperService::new(self.routes.clone());
        let request = request.map(Body::new);
        let answered = tokio::spawn(async move { service.call(request).await }).await;
        match answered {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => infallible(never),
            Err(panicked) => {
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, 10013, panicked.to_string()).into_response()
            }
        }
    }

    fn allowance(&self, request: &Request<Incoming>) -> Result<Option<Allowance>, Duration> {
        if self.surface == Surface::Edge {
            return Ok(None);
        }
        let caller = request.headers().get(http::header::AUTHORIZATION);
        let caller = caller.and_then(|value| value.to_str().ok()).unwrap_or_default();
        self.cloud.limit.take(caller, Instant::now()).map(Some)
    }

    fn sign(&self, number: usize, mut response: Response, ray: &str, allowed: Option<Allowance>) -> Response {
        self.cloud.calls.answered(number, response.status().as_u16());
        let mut add = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        };
        add("cf-ray", ray.to_owned());
        add(SERVER.as_str(), "cloudflare".to_owned());
        add(DATE.as_str(), self.cloud.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        if let Some(allowed) = allowed {
            add("x-ratelimit-limit", allowed.limit.to_string());
            add("x-ratelimit-remaining", allowed.remaining.to_string());
            add("x-ratelimit-reset", allowed.reset.as_secs().to_string());
        }
        response
    }
}

/// An answer in place of the work, after the whole request: one that comes sooner may be lost with the
/// connection, when the client still sends.
async fn instead(request: Request<Incoming>, response: Response) -> Response {
    let _ = axum::body::to_bytes(Body::new(request.into_body()), usize::MAX).await;
    response
}

fn infallible(never: Infallible) -> Response {
    match never {}
}

fn too_many(retry_after: Option<u64>) -> Response {
    let message = "More than 1200 requests per 300 seconds reached. Please wait and consider throttling your request speed";
    let mut response = ApiError::new(StatusCode::TOO_MANY_REQUESTS, 10429, message).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// A body that is text is sent as it is, anything else as JSON.
fn status_of(status: u16, body: serde_json::Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match body {
        serde_json::Value::Null => {
            ApiError::new(status, u32::from(status.as_u16()), "an ordered fault").into_response()
        }
        serde_json::Value::String(text) => (status, text).into_response(),
        json => (status, axum::Json(json)).into_response(),
    }
}

async fn half(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    head.headers.remove(http::header::CONTENT_LENGTH);
    head.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    Response::from_parts(head, Body::from(bytes.slice(..bytes.len() / 2)))
}
