//! Whether an instance answers, asked of its backend's own `/health` at the address that the gateway
//! uses. "Started" is never taken for "ready".

use std::collections::HashSet;
use std::time::Duration;

use contracts::disk::{Disk, Fill};
use contracts::identity::{HealthStatus, RuntimeHealth};
use contracts::workspace::Endpoint;
use contracts::{ErrorCode, Problem, RuntimeId};
use provider_api::{Provider, RunStatus, RuntimeRef};
use tokio::time::Instant;

use crate::operations::steady;

const INTERVAL: Duration = Duration::from_millis(40);
/// How often the provider is asked whether the instance still runs; cheaper questions go in between.
const STATUS_EVERY: u32 = 12;
/// A time that every clock can count to.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// An instance's own word is not trusted to be short.
const MAX_HEALTH: usize = 64 * 1024;
const LOG_TAIL: usize = 2048;

/// What is shorter may be a part of something else.
const A_SENTENCE: usize = 16;

/// The instance that is waited for.
pub struct Target<'a> {
    pub provider: &'a dyn Provider,
    pub runtime: &'a RuntimeRef,
    pub timeout: Duration,
    /// Told what it waits for outside, when that is known and each time that it is something else.
    pub tell: &'a (dyn Fn(&str) + Send + Sync),
    /// Told where an instance answers that says of itself that its boot has failed.
    pub answers: &'a (dyn Fn(&Endpoint) + Send + Sync),
}

/// Waits until the backend answers anything.
pub async fn booted(client: &reqwest::Client, target: &Target<'_>) -> Result<(), Problem> {
    wait(client, target, "its backend did not answer", |_| true).await.map(drop)
}

/// Waits until the backend says that OpenCode answers; the address to send traffic to.
pub async fn ready(client: &reqwest::Client, target: &Target<'_>) -> Result<Endpoint, Problem> {
    wait(client, target, "OpenCode did not answer", |health| health.status == HealthStatus::Ok).await
}

/// For [`probe`]. It speaks to the instance itself: a proxy of the environment does not know loopback
/// addresses, and where an instance redirects to is its own business.
pub fn client() -> reqwest::Result<reqwest::Client> {
    let direct = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    direct.pool_max_idle_per_host(0).build()
}

/// One question; `None` when there is no answer.
pub async fn probe(client: &reqwest::Client, endpoint: &Endpoint) -> Option<RuntimeHealth> {
    let scheme = if endpoint.tls { "https" } else { "http" };
    let mut request = client.get(format!("{scheme}://{endpoint}/health")).timeout(PROBE_TIMEOUT);
    for (name, value) in &endpoint.headers {
        request = request.header(name, value);
    }
    let mut response = request.send().await.ok()?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_HEALTH {
            return None;
        }
    }
    serde_json::from_slice(&body).ok()
}

/// Whether the instance of this runtime answers there as users need it.
pub async fn answers(client: &reqwest::Client, endpoint: &Endpoint, runtime: &RuntimeId) -> bool {
    let health = probe(client, endpoint).await;
    health.is_some_and(|health| health.status == HealthStatus::Ok && health.identity.runtime_id == *runtime)
}

async fn wait(
    client: &reqwest::Client,
    target: &Target<'_>,
    missing: &str,
    enough: impl Fn(&RuntimeHealth) -> bool,
) -> Result<Endpoint, Problem> {
    let lifecycle = target.provider.lifecycle();
    let deadline = Instant::now() + target.timeout.min(LONGEST);
    // A look that begins in time may end: that the instance is not ready says more than that nobody could look.
    let looked = deadline + PROBE_TIMEOUT;
    let mut place = Place::default();
    place.look(target, looked).await?;
    let mut asked = 0;
    loop {
        match place.probe(client).await {
            Some((health, endpoint)) if health.identity.runtime_id != target.runtime.runtime_id => {
                let detail =
                    format!("Another instance, {}, answers at {endpoint}.", health.identity.runtime_id);
                return Err(Problem::new(ErrorCode::PortInUse, detail));
            }
            Some((health, endpoint)) if health.status == HealthStatus::Failed => {
                (target.answers)(endpoint);
                return Err(boot_failure(target, health).await);
            }
            Some((health, endpoint)) if enough(&health) => return Ok(endpoint.clone()),
            _ => {}
        }
        asked += 1;
        if asked % STATUS_EVERY == 0 {
            match steady(looked, || lifecycle.status(target.runtime)).await? {
                RunStatus::Running => place.look(target, looked).await?,
                RunStatus::Pending { reason } => place.waits_for(reason, target),
                stopped => return Err(stopped_while_booting(target, stopped).await),
            }
        }
        if Instant::now() >= deadline {
            let missing = place.waits_for.as_deref().unwrap_or(missing);
            let detail = format!("The instance was not ready after {:?}: {missing}.", target.timeout);
            let problem = Problem::new(ErrorCode::InstanceNotReady, detail).with_action(
                "Read the log above, then start the workspace again or delete it; its data is kept until then.",
            );
            return Err(with_log(target, problem, None).await);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// What is known of where it is.
#[derive(Default)]
struct Place {
    endpoint: Option<Endpoint>,
    /// Why it cannot run yet.
    waits_for: Option<String>,
}

impl Place {
    /// Asks where it is reached. One that has ended has no address and never will, however often it is asked; one that cannot
    /// run yet will.
    async fn look(&mut self, target: &Target<'_>, looked: Instant) -> Result<(), Problem> {
        let lifecycle = target.provider.lifecycle();
        let ask = || async {
            match lifecycle.endpoint(target.runtime).await {
                Err(error) if error.code == ErrorCode::WorkspaceNotReady => {
                    match lifecycle.status(target.runtime).await? {
                        RunStatus::Running => Err(error),
                        other => Ok(Err(other)),
                    }
                }
                found => found.map(Ok),
            }
        };
        match steady(looked, ask).await? {
            Ok(endpoint) => {
                // What the gateway would not use is not ready, and the same judge says so now.
                endpoint.usable()?;
                *self = Place { endpoint: Some(endpoint), waits_for: None };
            }
            Err(RunStatus::Pending { reason }) => self.waits_for(reason, target),
            Err(stopped) => return Err(stopped_while_booting(target, stopped).await),
        }
        Ok(())
    }

    fn waits_for(&mut self, reason: String, target: &Target<'_>) {
        if self.waits_for.as_ref() != Some(&reason) {
            (target.tell)(&reason);
            self.waits_for = Some(reason);
        }
    }

    async fn probe(&self, client: &reqwest::Client) -> Option<(RuntimeHealth, &Endpoint)> {
        let endpoint = self.endpoint.as_ref()?;
        probe(client, endpoint).await.map(|health| (health, endpoint))
    }
}

async fn boot_failure(target: &Target<'_>, health: RuntimeHealth) -> Problem {
    let code = health.code.unwrap_or(ErrorCode::InstanceFailed);
    let detail = health.detail.unwrap_or_else(|| "The instance could not boot.".to_owned());
    let problem = Problem::new(code, detail);
    if code == ErrorCode::InstanceFailed {
        with_log(target, problem.with_action(AGAIN), health.disk).await
    } else {
        problem
    }
}

async fn stopped_while_booting(target: &Target<'_>, status: RunStatus) -> Problem {
    let (how, is_by_itself) = how_it_ended(&status);
    let mut problem =
        Problem::new(ErrorCode::InstanceFailed, format!("The instance stopped while booting: {how}."));
    // Who was ended says nothing about the next boot; where each is ended, the pauses grow.
    problem.retryable = !is_by_itself;
    let action = if is_by_itself { AGAIN } else { AGAIN_BY_ITSELF };
    with_log(target, problem.with_action(action), None).await
}

/// For people, and whether it was the program's own end.
fn how_it_ended(status: &RunStatus) -> (String, bool) {
    match status {
        RunStatus::Suspended => ("it was suspended".to_owned(), false),
        RunStatus::Stopped { exit_code: Some(code) } => {
            (format!("it ended with exit code {code}"), !KILLED.contains(code))
        }
        RunStatus::Stopped { exit_code: None }
        | RunStatus::Absent
        | RunStatus::Running
        | RunStatus::Pending { .. } => ("it is not running any more".to_owned(), false),
    }
}

/// By SIGKILL and SIGTERM: somebody, its host or the kernel has ended it.
const KILLED: [i32; 2] = [137, 143];

/// What was ended from outside.
const AGAIN_BY_ITSELF: &str = "It is started again by itself, unless the server runs with `--repair report`; `pilot ws start NAME` does \
                               it at once, and `pilot ws logs NAME` may say more.";

/// It is not tried again by itself: what ends at each boot would do so for ever.
const AGAIN: &str = "`pilot ws logs NAME` says more; `pilot ws start NAME` starts it again.";

/// What programs say when a disk has no room.
const NO_SPACE: [&str; 4] =
    ["No space left on device", "Disk quota exceeded", "ENOSPC", "database or disk is full"];

/// `None` where it did not fail for that. An old line of a log says nothing about a disk that has room.
fn without_space(problem: &Problem, log: &str, disk: Option<Disk>) -> Option<Problem> {
    let fill = disk.map(Disk::fill);
    let is_said = NO_SPACE.iter().any(|words| log.contains(words) || problem.detail.contains(words));
    if fill != Some(Fill::Full) && !(is_said && fill != Some(Fill::Fine)) {
        return None;
    }
    let told = disk.map(|disk| format!(" ({})", disk.in_words())).unwrap_or_default();
    let detail = format!("The disk of its home has no room{told}. {}", problem.detail);
    Some(Problem::new(ErrorCode::StoreFull, detail).with_action(
        "Make room on that disk: remove files (`pilot ws exec NAME -- rm -rf PATH`, while the instance runs), or snapshots and other \
         homes where they lie on the same disk. Then `pilot ws start NAME`.",
    ))
}

/// The end of the instance's log belongs in the error: it is what the reader would ask for next.
async fn with_log(target: &Target<'_>, mut problem: Problem, disk: Option<Disk>) -> Problem {
    let log = match target.provider.logs() {
        Some(logs) => match logs.tail(target.runtime, LOG_TAIL).await {
            Ok(text) => {
                let ended = logs.ended(target.runtime).await.ok().flatten().unwrap_or_default();
                Some(format!("{text}\n{ended}"))
            }
            Err(_) => None,
        },
        None => None,
    };
    if let Some(full) = without_space(&problem, log.as_deref().unwrap_or_default(), disk) {
        problem = full;
    }
    if let Some(log) = log {
        let text = news(&problem.detail, &log);
        if !text.is_empty() {
            problem.detail = format!("{}\nThe end of its log:\n{text}", problem.detail);
        }
    }
    problem
}

/// What a log says that was not said: what is tried again and again fails in the same words each time.
fn news(said: &str, log: &str) -> String {
    let mut seen: HashSet<&str> = said.lines().map(str::trim).collect();
    let mut new = Vec::new();
    for line in log.lines() {
        let words = line.trim();
        // They are often the end of a sentence that was said.
        let is_said = words.len() >= A_SENTENCE && said.contains(words);
        if !words.is_empty() && seen.insert(words) && !is_said {
            new.push(line);
        }
    }
    new.join("\n")
}

#[cfg(test)]
mod tests {
    mod addresses;

    use axum::response::Redirect;

    use super::*;

    #[test]
    fn what_each_attempt_has_said_again_is_told_once() {
        let detail = "OpenCode ended 5 times before it answered; it said: database disk image is malformed\nat open (db.ts:7)";
        let attempt = "starting\n\ndatabase disk image is malformed\nat open (db.ts:7)\n";
        let log = attempt.repeat(5) + "giving up\n";
        assert_eq!(news(detail, &log), "starting\ngiving up");
        assert_eq!(news("It ended.", attempt), attempt.replace("\n\n", "\n").trim_end());
        assert_eq!(news(detail, &attempt.replace("starting\n", "")), "");
    }

    #[test]
    fn what_failed_for_want_of_room_says_so_and_an_old_line_about_it_says_nothing() {
        let failed = Problem::new(ErrorCode::InstanceFailed, "OpenCode ended 5 times.");
        let line = "mkdir: cannot create directory 'a': No space left on device";
        let disk = |free| Some(Disk { size: 64 << 20, free });
        for (log, disk, is_full) in [
            ("fine", None, false),
            (line, None, true),
            (line, disk(0), true),
            ("fine", disk(0), true),
            (line, disk(60 << 20), false),
            ("SQLiteError: database or disk is full", disk(2 << 20), true),
        ] {
            let told = without_space(&failed, log, disk);
            assert_eq!(told.is_some(), is_full, "{log} {disk:?}");
            let Some(told) = told else { continue };
            assert_eq!(told.code, ErrorCode::StoreFull);
            assert!(told.detail.ends_with("OpenCode ended 5 times.") && told.action.is_some(), "{told}");
        }
    }

    #[test]
    fn what_was_ended_from_outside_may_boot_the_next_time_and_what_ended_by_itself_would_again() {
        let stopped = |exit_code| RunStatus::Stopped { exit_code };
        for (status, is_by_itself) in [
            (stopped(Some(1)), true),
            (stopped(Some(0)), true),
            (stopped(Some(137)), false),
            (stopped(Some(143)), false),
            (stopped(None), false),
            (RunStatus::Absent, false),
            (RunStatus::Suspended, false),
        ] {
            assert_eq!(how_it_ended(&status).1, is_by_itself, "{status:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_instance_that_has_ended_is_not_waited_for() {
        let fixture = provider_fake::conformance::fixture().await;
        let mut stack = fixture.stack();
        stack.up().await;
        let (provider, runtime) = (fixture.provider.as_ref(), stack.runtime());
        provider.lifecycle().stop(&runtime, Duration::ZERO).await.unwrap();
        for timeout in [Duration::from_secs(60), Duration::MAX] {
            let target = Target { provider, runtime: &runtime, timeout, tell: &|_| {}, answers: &|_| {} };
            let began = Instant::now();
            let problem = ready(&client().unwrap(), &target).await.unwrap_err();
            assert_eq!(problem.code, ErrorCode::InstanceFailed, "{problem}");
            assert!(began.elapsed() < Duration::from_secs(20), "it waited {:?}", began.elapsed());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_run_yet_is_waited_for_and_told() {
        let fixture = provider_fake::conformance::fixture().await;
        let mut stack = fixture.stack();
        stack.up().await;
        let (provider, runtime) = (fixture.provider.as_ref(), stack.runtime());
        provider.lifecycle().stop(&runtime, Duration::ZERO).await.unwrap();
        let faults = fixture.faults.clone().unwrap();
        faults.fill().await;
        provider.lifecycle().start(&runtime).await.unwrap();
        let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let tell = |reason: &str| told.send(reason.to_owned()).unwrap();
        let timeout = Duration::from_secs(2);
        let target = Target { provider, runtime: &runtime, timeout, tell: &tell, answers: &|_| {} };
        let problem = ready(&client().unwrap(), &target).await.unwrap_err();
        assert_eq!(problem.code, ErrorCode::InstanceNotReady);
        assert!(problem.detail.contains("no room"), "{problem}");
        assert!(hears.try_recv().unwrap().contains("no room"));
        assert!(hears.try_recv().is_err(), "it was told once");

        let target = Target { timeout: Duration::from_secs(60), ..target };
        let room = async {
            hears.recv().await;
            faults.heal().await;
        };
        let client = client().unwrap();
        let (answer, ()) = tokio::join!(ready(&client, &target), room);
        assert_eq!(answer.unwrap(), provider.lifecycle().endpoint(&runtime).await.unwrap());
    }

    #[tokio::test]
    async fn a_probe_goes_nowhere_but_to_the_instance() {
        let health = r#"{"status":"ok","identity":{"runtimeId":"rt-1","runtimeLabel":"x","platform":"compute"},"openCode":{"ready":true}}"#;
        let instance = axum::Router::new()
            .route("/health", axum::routing::get(|| async { Redirect::temporary("/elsewhere") }))
            .route("/elsewhere", axum::routing::get(move || async move { health }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, instance).await });
        let endpoint = Endpoint::plain("127.0.0.1", address.port());
        assert_eq!(probe(&client().unwrap(), &endpoint).await.map(|health| health.status), None);
    }
}
