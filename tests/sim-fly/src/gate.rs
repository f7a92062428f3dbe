//! What every request to the API passes: its id, the ordered faults, the token and the rate limit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use crate::action::{self, Action};
use crate::bend;
use crate::clock;
use crate::core::Core;
use crate::error::{Answer, Refusal};
use crate::faults::Kind;
use crate::http::Caller;
use crate::ids;
use crate::seen;

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut as ordered")]
pub struct Cut;

const REQUEST_ID: &str = "fly-request-id";
const HTML: &str =
    "<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>";

/// The API behind its gate.
#[derive(Clone)]
pub struct Gate {
    core: Arc<Core>,
    routes: TowerToHyperService<Router>,
}

/// What was ordered for one request.
#[derive(Default)]
struct Ordered {
    /// Instead of carrying it out.
    before: Option<Kind>,
    /// After it was carried out.
    after: Option<Kind>,
    delay: Duration,
    lag: Duration,
    skew: i64,
}

impl Ordered {
    fn of(kinds: Vec<Kind>) -> Self {
        let mut ordered = Self::default();
        for kind in kinds {
            match kind {
                Kind::Delay { ms } => ordered.delay += Duration::from_millis(ms),
                Kind::Lag { ms } => ordered.lag = Duration::from_millis(ms),
                Kind::ClockSkew { seconds } => ordered.skew = seconds,
                Kind::CutAfter | Kind::Truncate | Kind::HangAfter => ordered.after = Some(kind),
                Kind::Status { .. } | Kind::Hang | Kind::CutBefore | Kind::Html { .. } => {
                    ordered.before = Some(kind)
                }
            }
        }
        ordered
    }
}

impl Gate {
    pub fn new(core: Arc<Core>) -> Self {
        let routes = TowerToHyperService::new(crate::http::routes(core.clone()));
        Self { core, routes }
    }

    /// Answers one request, or ends its connection.
    ///
    /// # Errors
    /// [`Cut`] when a fault says so.
    pub async fn answer(self, request: Request<Incoming>) -> Result<Response, Cut> {
        // As at the vendor, a request that has arrived is carried out though its caller goes away.
        let answered = tokio::spawn(self.pass(request)).await;
        answered.unwrap_or(Err(Cut))
    }

    async fn pass(self, request: Request<Incoming>) -> Result<Response, Cut> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let ordered = Ordered::of(self.core.faults.hit(&method, &path));
        let request_id = format!("{}-fra", ids::ulid(clock::now()));
        let action = action::of(&method, &path);
        let mut record = seen::Request {
            at: clock::now(),
            request_id: request_id.clone(),
            method: method.to_string(),
            path,
            action: action.as_ref().map_or("none", |action| action.name).to_owned(),
            status: 0,
        };
        let core = self.core.clone();
        let (lag, skew) = (ordered.lag, ordered.skew);
        let work = async move {
            let answered = self.carry_out(request, action, ordered).await;
            answered.map(|response| dated(response, &request_id))
        };
        let answered = clock::skewed(skew, bend::lagging(lag, work)).await;
        // What an answer shows is true also after a kill.
        core.settled().await;
        record.status = answered.as_ref().map_or(0, |response| response.status().as_u16());
        core.seen.add(record);
        answered
    }

    async fn carry_out(
        &self,
        request: Request<Incoming>,
        action: Option<Action>,
        ordered: Ordered,
    ) -> Result<Response, Cut> {
        if !ordered.delay.is_zero() {
            tokio::time::sleep(ordered.delay).await;
        }
        match ordered.before {
            Some(Kind::CutBefore) => return Err(Cut),
            Some(Kind::Hang) => std::future::pending().await,
            Some(Kind::Status { code, body, retry_after }) => return Ok(status(code, body, retry_after)),
            Some(Kind::Html { code }) => return Ok(html(code)),
            _ => {}
        }
        let response = match self.admit(&request, action) {
            Ok(caller) => self.route(request, caller).await,
            Err(refusal) => refusal.into_response(),
        };
        match ordered.after {
            Some(Kind::CutAfter) => Err(Cut),
            Some(Kind::HangAfter) => std::future::pending().await,
            Some(Kind::Truncate) => truncated(response).await,
            _ => Ok(response),
        }
    }

    /// The caller, when the token is good and the rate is kept.
    fn admit(&self, request: &Request<Incoming>, action: Option<Action>) -> Answer<Caller> {
        let unauthorized = || Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized");
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, secret) = header.and_then(|text| text.split_once(' ')).ok_or_else(unauthorized)?;
        let is_known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("flyv1");
        let mut tokens = self.core.settings.tokens.iter();
        let token =
            tokens.find(|token| is_known && token.secret == secret.trim()).ok_or_else(unauthorized)?;
        if let Some(action) = action
            && !self.core.limits.allow(&token.org, &action, Instant::now())
        {
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "rate limit exceeded"));
        }
        if !token.scope.allows(request.method(), request.uri().path()) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "unauthorized"));
        }
        Ok(Caller { org: token.org.clone() })
    }

    async fn route(&self, mut request: Request<Incoming>, caller: Caller) -> Response {
        request.extensions_mut().insert(caller);
        match self.routes.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

fn dated(mut response: Response, request_id: &str) -> Response {
    let headers = response.headers_mut();
    let date = HeaderValue::from_str(&clock::http_date(clock::now()));
    for (name, value) in
        [(DATE, date), (http::HeaderName::from_static(REQUEST_ID), HeaderValue::from_str(request_id))]
    {
        if let Ok(value) = value {
            headers.insert(name, value);
        }
    }
    response
}

fn status(code: u16, body: String, retry_after: Option<u64>) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match body.is_empty() {
        true => {
            Refusal::new(status, status.canonical_reason().unwrap_or("error").to_lowercase()).into_response()
        }
        false => (status, [(CONTENT_TYPE, "application/json")], body).into_response(),
    };
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

fn html(code: u16) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY);
    (status, axum::response::Html(HTML)).into_response()
}

async fn truncated(response: Response) -> Result<Response, Cut> {
    let (mut head, body) = response.into_parts();
    let bytes = body.collect().await.map_err(|_| Cut)?.to_bytes();
    head.headers.remove(http::header::CONTENT_LENGTH);
    Ok(Response::from_parts(head, Body::from(bytes.slice(..bytes.len() / 2))))
}
