//! The client of one vendor.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use jiff::Timestamp;
use reqwest::multipart;
use tokio::time::Instant;
use url::Url;

use crate::answer::Answer;
use crate::call::{Body, Call, Part};
use crate::failure::{Failure, Kind, words};
use crate::pace::Pace;
use crate::retry;

/// What a vendor wants in `Authorization`, scheme included. Never shown.
#[derive(Clone)]
pub struct Access(String);

impl Access {
    pub fn bearer(token: &str) -> Self {
        Self(format!("Bearer {token}"))
    }

    /// `text` is the whole header.
    pub fn header(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// No `Authorization`: each call brings its own proof.
    pub fn none() -> Self {
        Self(String::new())
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Access(...)")
    }
}

pub struct VendorConfig {
    /// For messages.
    pub name: &'static str,
    /// Where paths begin.
    pub base: Url,
    pub access: Access,
    /// The answer's header with the vendor's id of a request.
    pub request_id: &'static str,
    /// Where a refusal's body has its words, as JSON pointers.
    pub words: &'static [&'static str],
    pub pace: Pace,
    /// How long a call may take with all its attempts, and how long it may wait for the rate before them.
    pub timeout: Duration,
}

/// Cheap to share behind a reference; keeps its connections.
pub struct Vendor {
    config: VendorConfig,
    client: reqwest::Client,
}

/// A vendor's document is far smaller; what is bigger is not one.
const LARGEST: usize = 64 << 20;
const CONNECT: Duration = Duration::from_secs(5);

impl Vendor {
    /// Fails only when the system's certificates cannot be read.
    pub fn new(config: VendorConfig) -> Result<Self, Failure> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("pilot/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::new(Kind::Unreachable, format!("no HTTP client: {}", chain(&error))))?;
        Ok(Self { config, client })
    }

    pub fn name(&self) -> &'static str {
        self.config.name
    }

    /// The answer of the first attempt that the vendor took. A status of 400 or more is a failure.
    pub async fn send(&self, call: Call) -> Result<Answer, Failure> {
        let mut deadline = Instant::now() + self.config.timeout;
        let mut turn = self.config.timeout;
        let mut attempt = 0;
        let mut before = None;
        loop {
            // Time spent waiting for the rate is no time spent calling.
            let waited = match self.turn(&call, turn).await {
                Ok(waited) => waited,
                // What was sent before may have happened all the same.
                Err(not_sent) => return Err(before.unwrap_or(not_sent)),
            };
            (turn, deadline) = (turn.saturating_sub(waited), deadline + waited);
            let failure = match self.attempt(&call, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let Some(pause) = retry::pause(call.repeat, &failure, attempt) else { return Err(failure) };
            if Instant::now() + pause >= deadline {
                return Err(failure);
            }
            tracing::debug!(vendor = self.config.name, method = %call.method, path = %call.path, %failure, ?pause, "again");
            tokio::time::sleep(pause).await;
            attempt += 1;
            before = Some(failure);
        }
    }

    /// Waits until the rate lets the call through, and tells how long that took.
    async fn turn(&self, call: &Call, longest: Duration) -> Result<Duration, Failure> {
        let (class, object) = &call.action;
        let began = Instant::now();
        let turn = self.config.pace.wait(class, object);
        tokio::time::timeout(longest, turn).await.map(|()| began.elapsed()).map_err(|_| {
            let what = format!(
                "more calls wait than {} takes within {:.0?}, so this one was not sent",
                self.config.name, self.config.timeout
            );
            Failure { retry_after: Some(self.config.timeout), ..Failure::new(Kind::NotSent, what) }
        })
    }

    async fn attempt(&self, call: &Call, deadline: Instant) -> Result<Answer, Failure> {
        let limit = call.limit.min(deadline.saturating_duration_since(Instant::now()));
        let exchange = async {
            let response = self.request(call).send().await.map_err(|error| broken(&error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            let request_id = text(&headers, self.config.request_id);
            let body =
                whole(response).await.map_err(|failure| failure.with_request_id(request_id.clone()))?;
            if status.is_client_error() || status.is_server_error() {
                let words = words(&body, self.config.words);
                let retry_after = retry_after(&headers);
                let failure = Failure::new(Kind::Refused { status, body }, words);
                return Err(Failure { retry_after, ..failure.with_request_id(request_id) });
            }
            if status.is_redirection() {
                let what = format!("{} sent a redirect, which its API never does", self.config.name);
                return Err(Failure::new(Kind::Unreadable, what).with_request_id(request_id));
            }
            Ok(Answer { status, headers, body, request_id })
        };
        match tokio::time::timeout(limit, exchange).await {
            Ok(result) => result,
            Err(_) => {
                let what = format!("{} did not answer within {:.0?}", self.config.name, limit);
                Err(Failure::new(Kind::Lost, what))
            }
        }
    }

    fn request(&self, call: &Call) -> reqwest::RequestBuilder {
        let base = self.config.base.as_str().trim_end_matches('/');
        let mut request = self.client.request(call.method.clone(), format!("{base}{}", call.path));
        if !self.config.access.0.is_empty() {
            request = request.header(http::header::AUTHORIZATION, &self.config.access.0);
        }
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        match &call.body {
            Body::Empty => request,
            Body::Json(json) => request.json(json),
            Body::Form(parts) => {
                let form = parts
                    .iter()
                    .fold(multipart::Form::new(), |form, part| form.part(part.name.clone(), as_part(part)));
                request.multipart(form)
            }
        }
    }
}

fn as_part(part: &Part) -> multipart::Part {
    let mut made = multipart::Part::bytes(part.content.clone());
    if let Some(file) = &part.file {
        made = made.file_name(file.clone());
    }
    let mut headers = HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(part.media_type));
    made.headers(headers)
}

async fn whole(mut response: reqwest::Response) -> Result<bytes::Bytes, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST {
            return Err(Failure::new(Kind::Unreadable, format!("an answer of more than {LARGEST} bytes")));
        }
    }
    Ok(body.into())
}

/// Only a connection that was never made is sure to have carried nothing.
fn broken(error: &reqwest::Error) -> Failure {
    let kind = if error.is_connect() || error.is_builder() { Kind::Unreachable } else { Kind::Lost };
    Failure::new(kind, chain(error))
}

/// An error and its causes, without the address: a query may hold what is not for logs.
fn chain(error: &reqwest::Error) -> String {
    let mut words = match (error.is_connect(), error.is_timeout()) {
        (true, _) => "no connection".to_owned(),
        (_, true) => "no answer in time".to_owned(),
        _ => "the connection broke".to_owned(),
    };
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        words += &format!(": {inner}");
        cause = inner.source();
    }
    words
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// More is none's real word, and not every number is one that a clock can count to.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// In seconds or as a date; a date is read against the answer's own clock, so that a clock of ours that
/// is wrong does not matter.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, RETRY_AFTER.as_str())?;
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(A_DAY));
    }
    let at = date(&value)?;
    let now = text(headers, http::header::DATE.as_str()).and_then(|date_| date(&date_));
    let wait = at.duration_since(now.unwrap_or_else(Timestamp::now));
    Some(Duration::try_from(wait).unwrap_or_default().min(A_DAY))
}

fn date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
