//! One run of OpenCode, from its start to its end or its silence.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Watched, describe};
use crate::children::Owned;
use crate::readiness::Probe;
use crate::state::{Event, Publisher};

/// While it starts. The limit grows because a question that came too early is never answered, and one
/// on a busy machine needs time.
const EAGER_PAUSE: Duration = Duration::from_millis(50);
const FIRST_LIMIT: Duration = Duration::from_millis(250);

/// Once it answered.
const CALM_PAUSE: Duration = Duration::from_secs(3);
const CALM_LIMIT: Duration = Duration::from_secs(5);

/// After a missed answer. One or two are a busy moment, three are a silence.
const UNSURE_PAUSE: Duration = Duration::from_millis(500);
const MISSES: u32 = 3;

/// A process that lives but does not answer for this long will not recover.
const STARTS_WITHIN: Duration = Duration::from_secs(90);
const SILENT_AT_MOST: Duration = Duration::from_secs(120);

/// Returns when the process ended or has to be replaced.
pub(super) async fn watch(process: &mut Owned, probe: &Probe, publisher: &Publisher) -> Watched {
    let began = Instant::now();
    let mut answered = false;
    let silent = tokio::select! {
        status = process.wait() => describe(status),
        silent = until_silent(probe, publisher, began, &mut answered) => silent,
    };
    Watched::since(began, answered, silent)
}

async fn until_silent(probe: &Probe, publisher: &Publisher, began: Instant, answered: &mut bool) -> String {
    if !until_first_answer(probe, publisher, began).await {
        return format!("OpenCode did not answer within {} seconds of its start", STARTS_WITHIN.as_secs());
    }
    *answered = true;
    let (mut last, mut missed) = (Instant::now(), 0);
    loop {
        sleep(if missed == 0 { CALM_PAUSE } else { UNSURE_PAUSE }).await;
        match probe.ask(CALM_LIMIT).await {
            Some(version) => {
                (last, missed) = (Instant::now(), 0);
                publisher.tell(Event::Answered { version });
            }
            None => missed += 1,
        }
        if missed >= MISSES {
            publisher.tell(Event::Lost("OpenCode does not answer".to_owned()));
        }
        if last.elapsed() > SILENT_AT_MOST {
            return format!("OpenCode did not answer for {} seconds", SILENT_AT_MOST.as_secs());
        }
    }
}

async fn until_first_answer(probe: &Probe, publisher: &Publisher, began: Instant) -> bool {
    let mut limit = FIRST_LIMIT;
    while began.elapsed() < STARTS_WITHIN {
        let asked = Instant::now();
        if let Some(version) = probe.ask(limit).await {
            tracing::info!(ms = began.elapsed().as_millis(), "OpenCode answers");
            publisher.tell(Event::Answered { version });
            return true;
        }
        // A refused connection comes back at once, silence only after the limit.
        if asked.elapsed() >= limit {
            limit = (limit * 2).min(CALM_LIMIT);
        }
        sleep(EAGER_PAUSE).await;
    }
    false
}
