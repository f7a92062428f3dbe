//! One process's part of the work: claims what there is room for, keeps what it has, and lets go what is another's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contracts::OperationId;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use tracing::field::Empty;

use super::ending::{Ending, Why};
use super::repeated::Repeated;
use super::room::Rooms;
use super::run::Run;
use super::{Parts, drive};
use crate::store::{Claimed, Hold};
use crate::trace;

/// How long a claim holds without a word of the claimer. Others take over after it.
pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// How often in that time the word is given.
const RENEWALS: u32 = 3;

/// Between two looks for what was asked to end, however much is told in between.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Between two looks for work that nobody has told of.
const IDLE: Duration = Duration::from_secs(1);

/// So many are in hand at most, most of them waiting for something.
const IN_HAND: usize = 512;

pub struct Claimer {
    /// Never used again: what one of this name has claimed was claimed here.
    name: String,
    parts: Arc<Parts>,
    rooms: Rooms,
    held: Mutex<HashMap<OperationId, Held>>,
}

struct Held {
    fence: u64,
    ending: Ending,
}

impl Claimer {
    pub fn new(parts: Arc<Parts>) -> Self {
        Self {
            name: format!("orchestrator-{}", OperationId::random()),
            rooms: Rooms::of(&parts.providers),
            parts,
            held: Mutex::default(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells one that runs here to end.
    pub fn end(&self, id: &OperationId, why: Why) {
        if let Some(held) = self.held().get(id) {
            held.ending.because(why);
        }
    }

    /// Takes whatever there is room for, until the process ends.
    pub async fn claim_all(self: Arc<Self>, tasks: TaskTracker) {
        let shutdown = &self.parts.shutdown;
        let mut work = self.parts.store.work();
        let mut outage = Repeated::default();
        while !shutdown.is_cancelled() {
            work.borrow_and_update();
            if self.held().len() < IN_HAND && self.rooms.has_place() {
                let held: Vec<_> = self.held().keys().cloned().collect();
                match self.parts.store.claim(&self.name, self.parts.lease, &self.rooms.full(), &held).await {
                    Ok(Some(claimed)) => {
                        Arc::clone(&self).take(claimed, &tasks);
                        continue;
                    }
                    Ok(None) => outage = Repeated::default(),
                    Err(error) if outage.is_news() => tracing::warn!(%error, "no operation could be claimed"),
                    Err(_) => {}
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = work.changed() => {}
                () = self.rooms.freed() => {}
                () = tokio::time::sleep(IDLE) => {}
            }
        }
    }

    /// Prolongs what is held, and hears what is asked of it, until it is aborted. Where nobody else can come, there is nothing
    /// to prolong.
    pub async fn renew_all(self: Arc<Self>) {
        if self.parts.store.is_alone() {
            return;
        }
        let mut work = self.parts.store.work();
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                _ = work.changed() => {}
                () = tokio::time::sleep_until(renewed + self.parts.lease / RENEWALS) => {}
            }
            match self.renew().await.inspect(|_| crate::metrics::lease_renewed("claims")) {
                Ok(began) => renewed = began,
                Err(error) if renewed.elapsed() > self.parts.lease => {
                    tracing::error!(%error, "no word to the store for longer than the lease; leaving all operations");
                    // Others may have them, so nothing of them goes on here.
                    self.held().values().for_each(|held| held.ending.because(Why::Fenced));
                    renewed = Instant::now();
                }
                Err(error) => tracing::warn!(%error, "the leases were not renewed"),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// When the word was given that counts from now on.
    async fn renew(&self) -> crate::store::Result<Instant> {
        // What is claimed from here on is not in the answer, and what was left is not prolonged.
        let kept = |(id, held): (&OperationId, &Held)| {
            (held.ending.why() != Some(Why::Fenced)).then(|| (id.clone(), held.fence))
        };
        let held: Vec<_> = self.held().iter().filter_map(kept).collect();
        let began = Instant::now();
        if held.is_empty() {
            return Ok(began);
        }
        let ids: Vec<_> = held.iter().map(|(id, _)| id.clone()).collect();
        let ours = self.parts.store.renew(&self.name, self.parts.lease, &ids).await?;
        let ours: HashMap<_, _> = ours.into_iter().map(|(id, fence, cancel)| (id, (fence, cancel))).collect();
        for (id, fence) in held {
            match ours.get(&id) {
                Some((theirs, cancel)) if *theirs == fence => {
                    if *cancel {
                        self.end(&id, Why::Asked);
                    }
                }
                _ => self.end(&id, Why::Fenced),
            }
        }
        Ok(began)
    }

    fn take(self: Arc<Self>, claimed: Claimed, tasks: &TaskTracker) {
        let Claimed { operation, provider, traceparent, fence, inherited, cancel } = claimed;
        let ending = Ending::new(&self.parts.shutdown);
        if cancel {
            ending.because(Why::Asked);
        }
        self.held().insert(operation.id.clone(), Held { fence, ending: ending.clone() });
        self.parts.feed.open(&operation);
        let (id, runtime) = (operation.id.clone(), operation.runtime_id.clone());
        let hold = Hold { operation: id.clone(), runtime, fence };
        // Every line of the log says whose it is: the level is that which no filter leaves out.
        let span = tracing::error_span!(
            target: "pilot::trace",
            "operation",
            operation = %id,
            kind = crate::metrics::label(&operation.kind),
            runtime = %hold.runtime,
            fence,
            requestId = operation.request_id,
            replica = self.name,
            state = Empty,
            code = Empty,
        );
        trace::follow(&span, traceparent.as_deref());
        let room = self.rooms.of_provider(&provider);
        let place = room.try_enter();
        let work = async move {
            let place = match place {
                Some(place) => Some(place),
                None => room.enter().await,
            };
            let run = Run::new(Arc::clone(&self.parts), (operation, hold, inherited), ending, room, place);
            drive(Arc::new(run)).await;
            // From here on it may be claimed again, also here.
            self.held().remove(&id);
        };
        tasks.spawn(work.instrument(span));
    }

    fn held(&self) -> MutexGuard<'_, HashMap<OperationId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
