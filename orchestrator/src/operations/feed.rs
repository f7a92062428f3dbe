//! The event streams of operations: kept in memory while they run and for a while after. What must
//! survive a restart (state, phases, error) is in the operation's row, from which a stream can be
//! made again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contracts::OperationId;
use contracts::operation::{Operation, OperationEvent, OperationEventBody, Phase};
use jiff::Timestamp;
use tokio::sync::watch;

/// How many ended operations keep their full stream.
const KEPT: usize = 256;

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Feed {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    logs: HashMap<OperationId, Arc<Log>>,
    ended: VecDeque<OperationId>,
}

struct Log {
    events: Mutex<Vec<OperationEvent>>,
    length: watch::Sender<usize>,
}

/// One reader's place in a stream. It ends after the `done` event.
pub struct OperationStream {
    log: Arc<Log>,
    length: watch::Receiver<usize>,
    position: usize,
    done: bool,
}

impl Feed {
    /// Begins the stream of a submitted operation with the phases that it has reached already.
    pub fn open(&self, operation: &Operation) {
        self.log_of(operation);
    }

    pub fn publish(&self, id: &OperationId, body: OperationEventBody) {
        let done = matches!(body, OperationEventBody::Done { .. });
        let mut inner = lock(&self.inner);
        let Some(log) = inner.logs.get(id) else { return };
        log.push(Timestamp::now(), body);
        if done {
            inner.ended.push_back(id.clone());
            if inner.ended.len() > KEPT
                && let Some(oldest) = inner.ended.pop_front()
            {
                inner.logs.remove(&oldest);
            }
        }
    }

    /// A stream after event number `after`; for an operation of an earlier process one made from its
    /// row.
    pub fn subscribe(&self, operation: &Operation, after: u64) -> OperationStream {
        let log = self.log_of(operation);
        let known = lock(&log.events).len();
        // A number from before a restart may be beyond what is known now: then everything is new.
        let position = usize::try_from(after).ok().filter(|after| *after <= known).unwrap_or(0);
        OperationStream { length: log.length.subscribe(), log, position, done: false }
    }

    /// The operation's log. One that has not ended is kept: what is published later must reach a reader
    /// who came before the runner.
    fn log_of(&self, operation: &Operation) -> Arc<Log> {
        let mut inner = lock(&self.inner);
        if let Some(log) = inner.logs.get(&operation.id) {
            return Arc::clone(log);
        }
        let log = Arc::new(from_row(operation));
        if !operation.state.is_final() {
            inner.logs.insert(operation.id.clone(), Arc::clone(&log));
        }
        log
    }
}

impl Log {
    fn push(&self, at: Timestamp, body: OperationEventBody) {
        let mut events = lock(&self.events);
        let sequence = events.len() as u64 + 1;
        events.push(OperationEvent { sequence, at, body });
        let length = events.len();
        drop(events);
        self.length.send_replace(length);
    }
}

impl OperationStream {
    /// The next event; `None` after `done`.
    pub async fn next(&mut self) -> Option<OperationEvent> {
        if self.done {
            return None;
        }
        loop {
            let event = lock(&self.log.events).get(self.position).cloned();
            if let Some(event) = event {
                self.position += 1;
                self.done = matches!(event.body, OperationEventBody::Done { .. });
                return Some(event);
            }
            let position = self.position;
            self.length.wait_for(|length| *length > position).await.ok()?;
        }
    }
}

fn from_row(operation: &Operation) -> Log {
    let log = Log { events: Mutex::default(), length: watch::channel(0).0 };
    replay_phases(&log, operation);
    if operation.state.is_final() {
        let at = operation.phases.finished.unwrap_or_else(Timestamp::now);
        log.push(at, OperationEventBody::Done { state: operation.state, error: operation.error.clone() });
    }
    log
}

fn replay_phases(log: &Log, operation: &Operation) {
    for phase in Phase::ALL {
        if let Some(at) = operation.phases.get(phase) {
            log.push(at, OperationEventBody::Phase { phase });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use contracts::operation::{OperationKind, OperationState, Phases};

    use super::*;

    fn operation(state: OperationState) -> Operation {
        let mut phases = Phases::default();
        phases.reach(Phase::Queued, Timestamp::UNIX_EPOCH);
        Operation {
            id: OperationId::random(),
            kind: OperationKind::Create,
            slug: "demo".parse().unwrap(),
            runtime_id: "rt-1".parse().unwrap(),
            state,
            phases,
            error: None,
            request_id: "req-1".to_owned(),
        }
    }

    async fn collect(mut stream: OperationStream) -> Vec<u64> {
        let mut sequences = Vec::new();
        while let Some(event) = stream.next().await {
            sequences.push(event.sequence);
        }
        sequences
    }

    #[tokio::test]
    async fn a_reader_sees_every_event_once_and_the_stream_ends_with_done() {
        let (feed, operation) = (Feed::default(), operation(OperationState::Queued));
        feed.open(&operation);
        let early = tokio::spawn(collect(feed.subscribe(&operation, 0)));
        tokio::task::yield_now().await;
        feed.publish(&operation.id, OperationEventBody::Phase { phase: Phase::Planned });
        feed.publish(
            &operation.id,
            OperationEventBody::Done { state: OperationState::Succeeded, error: None },
        );
        assert_eq!(early.await.unwrap(), [1, 2, 3]);
        assert_eq!(collect(feed.subscribe(&operation, 2)).await, [3]);
    }

    #[tokio::test]
    async fn a_reader_who_comes_before_the_runner_sees_the_end() {
        let (feed, operation) = (Feed::default(), operation(OperationState::Queued));
        let stream = feed.subscribe(&operation, 0);
        feed.open(&operation);
        feed.publish(
            &operation.id,
            OperationEventBody::Done { state: OperationState::Succeeded, error: None },
        );
        assert_eq!(collect(stream).await, [1, 2]);
    }

    #[tokio::test]
    async fn an_operation_of_an_earlier_process_has_a_stream_from_its_row() {
        let ended = operation(OperationState::Failed);
        assert_eq!(collect(Feed::default().subscribe(&ended, 0)).await, [1, 2]);
        assert_eq!(collect(Feed::default().subscribe(&ended, 40)).await, [1, 2]);
    }
}
