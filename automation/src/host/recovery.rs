//! What follows the death of a process: each stack that it was working on is recovered by the next one,
//! at once and before anything else of ours is done with it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::pool::Pool;
use super::process::Environment;
use super::run;
use super::unsettled::StackKey;
use crate::engine::Place;

/// How long others wait for a recovery, with the start of a process.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How long a recovery waits for a living process that has the stack's lock: it is not in the middle of
/// anything that we began.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// Called when a process has ended and before anybody hears of it, so that nobody overtakes.
pub(super) fn begin(pool: &Arc<Pool>, env: &Environment, key: StackKey, place: Place) {
    let (pool, env, recovering) = (Arc::clone(pool), env.clone(), pool.recoveries.begin(key.clone()));
    tokio::spawn(async move {
        recover(&pool, &env, key.stack(), &place).await;
        drop(recovering);
    });
}

/// Best effort: the state is read by whoever comes next, and what is wrong with it is told to them.
async fn recover(pool: &Arc<Pool>, env: &Environment, stack: &str, place: &Place) {
    let never = CancellationToken::new();
    let recover = run::waiting(LOCK_TIMEOUT, &never, || run::recover(pool, env, place, stack));
    match tokio::time::timeout(TIMEOUT, recover).await {
        Ok(Ok(())) => tracing::info!(stack, "recovered after the engine host broke down"),
        Ok(Err(error)) => tracing::warn!(stack, %error, "could not recover after the engine host broke down"),
        Err(_) => tracing::warn!(stack, "the recovery does not end"),
    }
}
