//! The last leg: from a checked request to the instance's backend and back.
//!
//! What only the gateway may say is removed from the request and said anew; what an instance may not
//! say is removed from its answer. Bodies are never read here.

use contracts::assertion::Surface;
use contracts::workspace::{Observed, Route};
use contracts::{ErrorCode, Problem, Slug};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body as _;
use proxy::{Body, ForwardError, Forwarder};

use crate::assertion::Signer;
use crate::auth::{Caller, SUBJECT};
use crate::host::Site;
use crate::resolve::Resolver;
use crate::{cookies, endpoint, session, wake};

const ASSERTION: HeaderName = HeaderName::from_static(contracts::headers::ASSERTION);
const FORWARDED_HOST: HeaderName = HeaderName::from_static(contracts::headers::FORWARDED_HOST);
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The way to every instance.
pub struct Instances {
    pub resolver: Resolver,
    pub signer: Signer,
    pub forwarder: Forwarder,
}

/// One request that was let through, and where it goes.
pub struct Passage<'a> {
    pub slug: &'a Slug,
    pub surface: Surface,
    pub path_and_query: String,
    pub site: &'a Site,
    pub caller: Caller,
    /// What is suspended goes on for it.
    pub is_visit: bool,
    pub request_id: &'a str,
}

impl Instances {
    /// Forwards to the instance. When that fails, the orchestrator is asked again: a workspace that is no
    /// longer up says so, and where nothing was sent, a new address is tried once.
    pub async fn forward(
        &self,
        passage: &Passage<'_>,
        request: Request<Body>,
    ) -> Result<Response<Body>, Problem> {
        let mut request = request;
        clean_request(request.headers_mut(), passage);
        let has_body = !request.body().is_end_stream();
        let (head, body) = request.into_parts();
        let again = (!has_body).then(|| head.clone());

        let mut route = self.resolver.resolve(passage.slug, passage.request_id).await?;
        if route.state == Observed::Suspended && passage.is_visit {
            route = wake::wake(&self.resolver, passage.slug, passage.request_id).await?;
        }
        let answered = match self.attempt(passage, &route, head, body).await? {
            Ok(response) if !may_be_of_a_proxy(response.status()) => return Ok(response),
            answered => answered,
        };
        self.resolver.invalidate(&route).await;
        let renewed = self.resolver.resolve(passage.slug, passage.request_id).await?;
        if renewed.endpoint.is_none() {
            return Err(not_ready(&renewed));
        }
        let failure = match answered {
            Ok(response) => return Ok(response),
            Err(failure) => failure,
        };
        let nothing_was_sent = matches!(failure, ForwardError::Connect { .. } | ForwardError::Timeout { .. });
        let Some(head) = again.filter(|_| nothing_was_sent && renewed.endpoint != route.endpoint) else {
            // The next request asks again.
            self.resolver.invalidate(&renewed).await;
            return Err(unreachable(passage, &failure));
        };
        let second = self.attempt(passage, &renewed, head, proxy::empty()).await?;
        second.map_err(|failure| unreachable(passage, &failure))
    }

    async fn attempt(
        &self,
        passage: &Passage<'_>,
        route: &Route,
        mut head: Parts,
        body: Body,
    ) -> Result<Result<Response<Body>, ForwardError>, Problem> {
        let endpoint = route.endpoint.as_ref().ok_or_else(|| not_ready(route))?;
        let mut target = endpoint::target(endpoint)?;
        target.path_and_query.clone_from(&passage.path_and_query);
        let assertion = self.signer.header(&route.runtime_id, passage.surface, SUBJECT, session::now())?;
        head.headers.insert(ASSERTION, assertion);
        // What names one instance behind an address that several share; the visitor's host stays in
        // `x-forwarded-host`.
        endpoint::name_instance(&mut head.headers, endpoint)?;
        match self.forwarder.forward(Request::from_parts(head, body), &target).await {
            Ok(response) => clean_response(response, passage).map(Ok),
            Err(failure) => Ok(Err(failure)),
        }
    }
}

fn clean_request(headers: &mut HeaderMap, passage: &Passage<'_>) {
    proxy::strip_forwarding(headers);
    cookies::strip_session(headers);
    if passage.caller == Caller::Token {
        headers.remove(AUTHORIZATION);
    }
    let own_host = HeaderValue::from_str(&passage.site.authority);
    headers.remove(HOST);
    if let Ok(host) = own_host {
        headers.insert(FORWARDED_HOST, host.clone());
        // OpenCode's UI is served under this name and compares origins with it.
        headers.insert(HOST, host);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    if let Ok(id) = HeaderValue::from_str(passage.request_id) {
        headers.insert(proxy::REQUEST_ID, id);
    }
}

fn clean_response(mut response: Response<Body>, passage: &Passage<'_>) -> Result<Response<Body>, Problem> {
    if refuses_the_gateway(&response) {
        let detail = format!("The instance of {} does not accept this gateway's signature.", passage.slug);
        return Err(Problem::new(ErrorCode::UpstreamUnreachable, detail).with_action(format!(
            "Compare the clocks of both machines, then run `pilot ws stop {0}` and `pilot ws start {0}`.",
            passage.slug
        )));
    }
    let headers = response.headers_mut();
    // A browser would show its own password dialog.
    headers.remove(WWW_AUTHENTICATE);
    cookies::confine_set_cookie(headers);
    proxy::strip_forwarding(headers);
    Ok(response)
}

/// What a vendor's proxy answers for an instance that has just ended. An instance may answer the same.
fn may_be_of_a_proxy(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

/// Only the backend answers 401 as a problem document, and only when it rejects our assertion. Handed
/// on, it would ask a visitor who is logged in to log in.
fn refuses_the_gateway(response: &Response<Body>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    response.status() == StatusCode::UNAUTHORIZED
        && kind.is_some_and(|kind| kind.as_bytes().starts_with(contracts::headers::PROBLEM_JSON.as_bytes()))
}

fn unreachable(passage: &Passage<'_>, failure: &ForwardError) -> Problem {
    let source = std::error::Error::source(failure).map(ToString::to_string).unwrap_or_default();
    tracing::warn!(requestId = passage.request_id, slug = %passage.slug, %failure, source, "an instance did not answer");
    let what = match failure {
        ForwardError::Connect { .. } => "nothing listens at its address",
        ForwardError::Timeout { .. } => "its address did not take the connection in time",
        ForwardError::Upstream { .. } => "it broke off before it answered",
    };
    Problem::new(
        ErrorCode::UpstreamUnreachable,
        format!("The instance of {} does not answer: {what}.", passage.slug),
    )
    .with_action(format!(
        "Try again in a moment; `pilot ws get {0}` shows its state and `pilot ws logs {0}` its log.",
        passage.slug
    ))
}

/// Says in which state the workspace is and what helps in that state.
fn not_ready(route: &Route) -> Problem {
    let slug = &route.slug;
    let (state, action) = match route.state {
        Observed::Absent | Observed::Provisioning => {
            ("being created", "Wait; it is ready in a moment.".to_owned())
        }
        Observed::Booting => ("booting", "Wait; it is ready in a moment.".to_owned()),
        Observed::Ready => ("up but has no address yet", "Wait a moment.".to_owned()),
        Observed::Degraded => (
            "not running as it should",
            format!(
                "It is started again by itself, unless the server runs with `--repair report`; `pilot ws start {slug}` does \
                 it at once. `pilot ws why {slug}` shows what is tried."
            ),
        ),
        Observed::Stopped => ("stopped", format!("Start it with `pilot ws start {slug}`.")),
        Observed::Suspended => ("suspended", format!("Go on with `pilot ws resume {slug}`.")),
        Observed::Stopping => {
            ("stopping", format!("When it has stopped, start it with `pilot ws start {slug}`."))
        }
        Observed::Deleting => ("being deleted", format!("`pilot ws create {slug}` makes a new one.")),
        Observed::Unknown => (
            "in an unknown state: its provider did not answer",
            format!("Wait, or see `pilot ws get {slug}`."),
        ),
        Observed::Failed => {
            ("failed", format!("`pilot ws get {slug}` shows why; `pilot ws start {slug}` tries again."))
        }
    };
    Problem::new(ErrorCode::WorkspaceNotReady, format!("The workspace {slug} is {state}."))
        .with_action(action)
}
