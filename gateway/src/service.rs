//! What happens to one request, from its arrival to its answer. There is no middleware: this is all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use contracts::ids::InvalidName;
use contracts::{ErrorCode, Problem, Slug};
use http::header::{ACCEPT, CACHE_CONTROL, HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use proxy::{Body, Forwarder};
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde::Serialize;

use crate::Config;
use crate::assertion::Signer;
use crate::host::{Names, Scope, Site};
use crate::instance::{Instances, Passage};
use crate::links::{self, Links};
use crate::resolve::{Resolver, TIMING};
use crate::route::{Destination, route};
use crate::session::Sessions;
use crate::{auth, origin, pages, wake};

/// A request for a link names a slug and no more.
const LINK_REQUEST_BYTES: usize = 4096;

/// Everything that requests share.
pub struct Gateway {
    names: Names,
    domain: String,
    admin_token: String,
    sessions: Sessions,
    links: Links,
    instances: Instances,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LinkAnswer {
    url: String,
    expires_in_seconds: u64,
}

impl Gateway {
    pub fn new(config: Config) -> Result<Self, Problem> {
        Ok(Self {
            names: Names::new(&config.domain, config.listen),
            domain: config.domain,
            admin_token: config.admin_token,
            sessions: Sessions::new(config.installation.as_str(), &config.session_key),
            links: Links::default(),
            instances: Instances {
                resolver: Resolver::new(&config.orchestrator, &config.orchestrator_token, TIMING)?,
                signer: Signer::new(config.installation, &config.assertion_key_pem)?,
                forwarder: Forwarder::new().with_tls(system_certificates),
            },
        })
    }

    /// Ends every WebSocket; a drain would wait for them for ever.
    pub fn close_tunnels(&self) {
        self.instances.forwarder.close_tunnels();
    }

    /// Answers one request and writes one line about it.
    pub async fn serve(&self, request: Request<Incoming>) -> Response<Body> {
        let began = Instant::now();
        let id = proxy::request_id(request.headers());
        let method = request.method().clone();
        // Never the query: it may hold a login code or a ticket.
        let path = request.uri().path().to_owned();
        let wants_page = wants_page(&request);
        let site = self.names.site(&request);
        let slug = site.as_ref().ok().and_then(|site| slug_of(&site.scope, &path));

        let answer = match site {
            Ok(site) => self.answer(request, &site, &id).await,
            Err(problem) => Err(problem),
        };
        let mut response = answer.unwrap_or_else(|problem| failure(problem.with_request_id(&id), wants_page));
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(proxy::REQUEST_ID, value);
        }
        tracing::info!(
            requestId = id,
            slug = slug.as_deref(),
            method = method.as_str(),
            path,
            status = response.status().as_u16(),
            ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "request"
        );
        response
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        site: &Site,
        id: &str,
    ) -> Result<Response<Body>, Problem> {
        let destination = route(&site.scope, request.method(), request.uri())?;
        match destination {
            Destination::Health => Ok(pages::health()),
            Destination::Index => Ok(pages::index(&self.domain)),
            Destination::ErrorPage(code) => Ok(pages::error_page(code)),
            Destination::MintLink => self.mint_link(request, site).await,
            Destination::Login => self.login(&request, site),
            Destination::Instance { slug, surface, path_and_query } => {
                origin::check_change(&request, site)?;
                let caller = auth::caller(request.headers(), &site.scope, &self.admin_token, &self.sessions)
                    .ok_or_else(|| auth::unauthorized(&site.scope))?;
                origin::check_caller(&request, site, caller)?;
                let is_visit = wake::is_visit(&request, caller);
                let passage =
                    Passage { slug: &slug, surface, path_and_query, site, caller, is_visit, request_id: id };
                self.instances.forward(&passage, request.map(proxy::body)).await
            }
        }
    }

    async fn mint_link(&self, request: Request<Incoming>, site: &Site) -> Result<Response<Body>, Problem> {
        origin::check_change(&request, site)?;
        if !auth::has_token(request.headers(), &self.admin_token) {
            return Err(auth::unauthorized(&site.scope));
        }
        let body = Limited::new(request.into_body(), LINK_REQUEST_BYTES).collect().await;
        let bytes = body.map_err(|error| bad_request(&error.to_string()))?.to_bytes();
        let scope = requested_scope(&bytes)?;
        let host = self.names.authority_of(&scope, site);
        let code = self.links.mint(scope, Instant::now());
        let answer = LinkAnswer {
            url: format!("http://{host}/_pilot/login?code={code}"),
            expires_in_seconds: links::LIFETIME.as_secs(),
        };
        json(&answer)
    }

    /// Logs a browser in with a code. Opening a used link again is fine where the login still holds.
    fn login(&self, request: &Request<Incoming>, site: &Site) -> Result<Response<Body>, Problem> {
        let query = request.uri().query().unwrap_or_default();
        let code = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "code");
        let redeemed = code.is_some_and(|(_, code)| self.links.redeem(&code, &site.scope, Instant::now()));
        let caller = auth::caller(request.headers(), &site.scope, &self.admin_token, &self.sessions);
        if !redeemed && caller.is_none() {
            return Err(invalid_link(&site.scope));
        }
        let mut response = Response::new(proxy::empty());
        *response.status_mut() = StatusCode::SEE_OTHER;
        let headers = response.headers_mut();
        headers.insert(LOCATION, HeaderValue::from_static("/"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if redeemed {
            headers.insert(SET_COOKIE, self.sessions.cookie(&site.scope, auth::SUBJECT)?);
        }
        Ok(response)
    }
}

const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("2");

/// An error as the caller can read it: a page for a person, else a problem document.
/// What the operating system trusts; instances at a vendor have certificates of a public authority.
fn system_certificates() -> Result<rustls::ClientConfig, proxy::BoxError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_platform_verifier()?.with_no_client_auth())
}

fn failure(problem: Problem, wants_page: bool) -> Response<Body> {
    let mut response = match wants_page {
        true => pages::problem_page(&problem),
        false => proxy::problem_response(&problem),
    };
    if problem.retryable && problem.status == StatusCode::SERVICE_UNAVAILABLE.as_u16() {
        response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

/// True for a page load by a browser; the API's callers get JSON even from one.
fn wants_page<B>(request: &Request<B>) -> bool {
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    matches!(*request.method(), Method::GET | Method::HEAD)
        && !request.uri().path().starts_with("/api/")
        && accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

/// The workspace that a request is about, for its log line.
fn slug_of(scope: &Scope, path: &str) -> Option<String> {
    match scope {
        Scope::Workspace(slug) => Some(slug.to_string()),
        Scope::Control => {
            let rest = path.strip_prefix(crate::route::WORKSPACES)?;
            let name = rest.split('/').next()?;
            name.parse::<Slug>().ok().map(String::from)
        }
    }
}

/// `{"slug": "demo"}`; without a slug, or without a body, the link opens the control site.
fn requested_scope(body: &[u8]) -> Result<Scope, Problem> {
    if body.is_empty() {
        return Ok(Scope::Control);
    }
    let fields: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(body).map_err(|error| bad_request(&error.to_string()))?;
    if let Some(unknown) = fields.keys().find(|name| *name != "slug") {
        let detail = format!("A login link has no field {unknown:?}.");
        return Err(
            Problem::new(ErrorCode::UnknownField, detail).with_action("Send only `slug`, or no body.")
        );
    }
    match fields.get("slug") {
        None | Some(serde_json::Value::Null) => Ok(Scope::Control),
        Some(serde_json::Value::String(slug)) => slug.parse().map(Scope::Workspace).map_err(invalid_slug),
        Some(_) => Err(bad_request("`slug` is not a text")),
    }
}

fn invalid_slug(error: InvalidName) -> Problem {
    Problem::new(ErrorCode::InvalidSlug, format!("{error}."))
        .with_action("`pilot ws ls` lists the workspaces.")
}

fn bad_request(why: &str) -> Problem {
    Problem::new(ErrorCode::BadRequest, format!("The request's body is not usable: {why}."))
        .with_action(r#"Send JSON such as {"slug": "demo"}."#)
}

fn invalid_link(scope: &Scope) -> Problem {
    let command = match scope {
        Scope::Control => "`pilot ws open SLUG`".to_owned(),
        Scope::Workspace(slug) => format!("`pilot ws open {slug}`"),
    };
    Problem::new(ErrorCode::LoginLinkInvalid, "This login link is used up, expired or incomplete.")
        .with_action(format!("{command} prints a fresh one."))
}

fn json(answer: &impl Serialize) -> Result<Response<Body>, Problem> {
    let text = serde_json::to_vec(answer).map_err(|error| {
        Problem::new(ErrorCode::Internal, format!("An answer could not be written: {error}."))
    })?;
    let mut response = Response::new(proxy::full(text));
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
