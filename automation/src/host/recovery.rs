//! What follows the death of a process: each stack that it was working on is recovered by the next one,
//! at once and before anything else of ours is done with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::pool::Pool;
use super::process::{Environment, Process};
use super::unsettled::StackKey;
use super::{run, waiting};
use crate::engine::Place;
use crate::error::{Error, Result};

/// How long others wait for a recovery, with the start of a process.
const LIMIT: Duration = Duration::from_secs(120);

/// How long a recovery waits for a living process that has the stack's lock: it is not in the middle of
/// anything that we began.
const PATIENCE: Duration = Duration::from_secs(2);

/// The stacks that are being recovered now.
#[derive(Default)]
pub(super) struct Recoveries(Mutex<HashMap<StackKey, watch::Receiver<()>>>);

impl Recoveries {
    /// Waits while this stack is being recovered.
    pub async fn settled(&self, key: &StackKey, cancel: &CancellationToken) -> Result<()> {
        loop {
            let Some(mut running) = self.running().get(key).cloned() else { return Ok(()) };
            tokio::select! {
                // The sender is dropped when it has ended, however it did.
                _ = running.changed() => {}
                () = cancel.cancelled() => return Err(Error::Canceled),
            }
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<StackKey, watch::Receiver<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Called when the process has ended and before anybody hears of it, so that nobody overtakes.
pub(super) fn begin(pool: &Weak<Pool>, env: &Environment, process: &Process) {
    let stacks = process.unsettled.take();
    // Without one, nobody is left who would do anything with these stacks.
    let Some(pool) = pool.upgrade() else { return };
    for (key, place) in stacks {
        let (sender, receiver) = watch::channel(());
        pool.recoveries.running().insert(key.clone(), receiver);
        let mark = Mark { pool: Arc::clone(&pool), key, sender: Some(sender) };
        tokio::spawn(recover(mark, env.clone(), place));
    }
}

/// Dropped, the stack counts as recovered.
struct Mark {
    pool: Arc<Pool>,
    key: StackKey,
    sender: Option<watch::Sender<()>>,
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.pool.recoveries.running().remove(&self.key);
        self.sender.take();
    }
}

/// Best effort: the state is read by whoever comes next, and what is wrong with it is told to them.
async fn recover(mark: Mark, env: Environment, place: Place) {
    let (pool, stack) = (&mark.pool, mark.key.stack());
    let never = CancellationToken::new();
    let recover = waiting(PATIENCE, &never, || run::recover(pool, &env, &place, stack));
    match tokio::time::timeout(LIMIT, recover).await {
        Ok(Ok(())) => tracing::info!(stack, "recovered after the engine host broke down"),
        Ok(Err(error)) => tracing::warn!(stack, %error, "could not recover after the engine host broke down"),
        Err(_) => tracing::warn!(stack, "the recovery does not end"),
    }
}
