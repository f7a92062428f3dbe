//! From a slug to a route: asks the orchestrator, remembers an endpoint for a second, and goes on with the last
//! answer while the orchestrator is away. A running workspace must not stop because its manager does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use contracts::workspace::Route;
use contracts::{ErrorCode, Problem, Slug};
use reqwest::StatusCode;

/// Slugs remembered at once; the least recently used one makes room.
const LIMIT: usize = 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// While the last route serves as well, an orchestrator that was away does not hold up requests for longer.
const RETRY_TIMEOUT: Duration = Duration::from_millis(250);

/// How long an answer is used without asking again, and how long without being able to.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub fresh: Duration,
    pub stale: Duration,
}

pub const TIMING: Timing = Timing { fresh: Route::FRESH, stale: Duration::from_secs(10 * 60) };

pub struct Resolver {
    client: reqwest::Client,
    base: String,
    token: String,
    timing: Timing,
    slots: Mutex<HashMap<Slug, Slot>>,
}

struct Slot {
    known: Arc<tokio::sync::Mutex<Known>>,
    used: Instant,
}

/// What is known of one slug. Whoever asks the orchestrator holds its lock, so one asks for all.
#[derive(Default)]
struct Known {
    answer: Option<Result<Route, Problem>>,
    answered: Option<Instant>,
    /// The last route the orchestrator gave, and when.
    good: Option<(Route, Instant)>,
    /// The last question was not answered.
    away: bool,
}

enum Failure {
    /// The orchestrator says that there is no such workspace.
    Missing(Problem),
    /// It says nothing of use.
    Unreachable(String),
}

impl Resolver {
    pub fn new(base: &url::Url, token: &str, timing: Timing) -> Result<Self, Problem> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|error| {
                Problem::new(ErrorCode::Internal, format!("No HTTP client could be made: {error}."))
            })?;
        let base = base.as_str().trim_end_matches('/').to_owned();
        Ok(Self { client, base, token: token.to_owned(), timing, slots: Mutex::default() })
    }

    /// The route of a slug, at most `timing.fresh` old unless the orchestrator is away, and new where it has no endpoint.
    pub async fn resolve(&self, slug: &Slug, request_id: &str) -> Result<Route, Problem> {
        let slot = self.slot(slug);
        let mut known = slot.lock().await;
        if let (Some(answer), Some(at)) = (&known.answer, known.answered)
            && at.elapsed() < self.timing.fresh
            && !is_waited_for(answer)
        {
            return answer.clone();
        }
        let timeout = if known.away && known.good.is_some() { RETRY_TIMEOUT } else { ANSWER_TIMEOUT };
        let asked = self.ask(slug, request_id, timeout).await;
        known.away = matches!(asked, Err(Failure::Unreachable(_)));
        let answer = match asked {
            Ok(route) => {
                known.good = Some((route.clone(), Instant::now()));
                Ok(route)
            }
            Err(Failure::Missing(problem)) => {
                known.good = None;
                Err(problem)
            }
            Err(Failure::Unreachable(why)) => self.last_good(&known, slug, &why),
        };
        known.answer = Some(answer.clone());
        known.answered = Some(Instant::now());
        answer
    }

    /// Makes the next `resolve` ask again, because nothing answered at this route. A newer answer is kept.
    pub async fn invalidate(&self, route: &Route) {
        let slot = self.slot(&route.slug);
        let mut known = slot.lock().await;
        if known.answer.as_ref().is_some_and(|answer| answer.as_ref() == Ok(route)) {
            known.answered = None;
        }
    }

    async fn ask(&self, slug: &Slug, request_id: &str, timeout: Duration) -> Result<Route, Failure> {
        let response = self
            .client
            .get(format!("{}/v1/resolve/{slug}", self.base))
            .bearer_auth(&self.token)
            .timeout(timeout)
            .header(contracts::headers::REQUEST_ID, request_id)
            .send()
            .await
            .map_err(|error| Failure::Unreachable(innermost(&error)))?;
        let status = response.status();
        if status == StatusCode::OK {
            return response.json().await.map_err(|error| Failure::Unreachable(innermost(&error)));
        }
        match response.json::<Problem>().await {
            Ok(problem) if problem.code == ErrorCode::WorkspaceNotFound => {
                Err(Failure::Missing(missing(slug)))
            }
            Ok(problem) => Err(Failure::Unreachable(format!("it answered {}", problem.code))),
            Err(_) => Err(Failure::Unreachable(format!("it answered {status}"))),
        }
    }

    /// Asks that what is suspended goes on; returns when that is accepted.
    pub async fn wake(&self, slug: &Slug, request_id: &str) -> Result<(), Problem> {
        let sent = self
            .client
            .post(format!("{}/v1/workspaces/{slug}/wake", self.base))
            .bearer_auth(&self.token)
            .timeout(ANSWER_TIMEOUT)
            .header(contracts::headers::REQUEST_ID, request_id)
            .send();
        let away = |why: String| {
            let detail = format!("The orchestrator could not be asked to wake {slug}: {why}.");
            Problem::new(ErrorCode::OrchestratorUnreachable, detail)
                .with_action("Check that `pilot serve` runs; `pilot doctor` says what is wrong.")
        };
        let response = sent.await.map_err(|error| away(innermost(&error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        Err(response.json().await.unwrap_or_else(|_| away(format!("it answered {status}"))))
    }

    fn last_good(&self, known: &Known, slug: &Slug, why: &str) -> Result<Route, Problem> {
        match &known.good {
            Some((route, at)) if at.elapsed() < self.timing.stale => {
                tracing::warn!(%slug, why, "the orchestrator is away; the last known route is used");
                Ok(route.clone())
            }
            _ => {
                let detail = format!("The orchestrator could not be asked where {slug} is: {why}.");
                Err(Problem::new(ErrorCode::OrchestratorUnreachable, detail)
                    .with_action("Check that `pilot serve` runs; `pilot doctor` says what is wrong."))
            }
        }
    }

    fn slot(&self, slug: &Slug) -> Arc<tokio::sync::Mutex<Known>> {
        // Nothing panics while it is held; a poisoned cache is still a cache.
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= LIMIT && !slots.contains_key(slug) {
            let oldest = slots.iter().min_by_key(|(_, slot)| slot.used).map(|(slug, _)| slug.clone());
            oldest.and_then(|slug| slots.remove(&slug));
        }
        let slot =
            slots.entry(slug.clone()).or_insert_with(|| Slot { known: Arc::default(), used: Instant::now() });
        slot.used = Instant::now();
        slot.known.clone()
    }
}

/// The next moment it may be ready, and whoever was told so comes at once.
fn is_waited_for(answer: &Result<Route, Problem>) -> bool {
    answer.as_ref().is_ok_and(|route| route.endpoint.is_none())
}

fn missing(slug: &Slug) -> Problem {
    Problem::new(ErrorCode::WorkspaceNotFound, format!("There is no workspace {slug}."))
        .with_action(format!("`pilot ws ls` lists the workspaces; `pilot ws create {slug}` makes this one."))
}

/// The cause a person can act on ("connection refused") is the innermost one.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.last().map_or_else(|| error.to_string(), ToString::to_string)
}
