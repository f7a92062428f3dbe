//! The event stream of every operation. An event is told once it is stored, under a number that never starts anew, so
//! that a reader goes on where it was, also over a restart of the server.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use contracts::OperationId;
use contracts::operation::{Operation, OperationEvent, OperationEventBody, Phase};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::readers::Readers;
use crate::store::{Result, Store};

/// So many are stored at once, and read at once.
const BATCH: usize = 256;

/// Between two attempts of a store that does not take events.
const RETRY: Duration = Duration::from_millis(500);

/// An operation that has ended tells its last event within this, or that was lost with its process.
const LAST: Duration = Duration::from_secs(1);

/// How long a reader relies on being woken.
const LOOK: Duration = Duration::from_secs(5);

/// Cheap to clone; clones share one writer.
#[derive(Clone)]
pub struct Feed {
    store: Store,
    /// Without a bound: an operation whose store takes nothing waits at its own next write.
    queue: mpsc::UnboundedSender<Entry>,
    readers: Readers,
}

enum Entry {
    /// An operation goes on in this process.
    Open(Box<Operation>),
    Event(OperationId, Timestamp, OperationEventBody),
    Flush(oneshot::Sender<()>),
}

/// One reader's place in an operation's events.
pub struct OperationStream {
    store: Store,
    id: OperationId,
    position: u64,
    read: VecDeque<OperationEvent>,
    more: watch::Receiver<()>,
    done: bool,
}

impl Feed {
    /// Begins to store what is published.
    pub fn new(store: Store) -> Self {
        let (queue, entries) = mpsc::unbounded_channel();
        let readers = Readers::default();
        tokio::spawn(
            Writer { store: store.clone(), readers: readers.clone(), last: HashMap::new() }.run(entries),
        );
        tokio::spawn(readers.clone().hear(store.told()));
        Self { store, queue, readers }
    }

    /// Call before the first event of this process.
    pub fn open(&self, operation: &Operation) {
        self.send(Entry::Open(Box::new(operation.clone())));
    }

    pub fn publish(&self, id: &OperationId, body: OperationEventBody) {
        self.send(Entry::Event(id.clone(), Timestamp::now(), body));
    }

    /// Until everything published is stored.
    pub async fn flushed(&self) {
        let (stored, waiting) = oneshot::channel();
        self.send(Entry::Flush(stored));
        let _ = waiting.await;
    }

    /// The events after that number; `None` when that was the last one of an operation that has ended. A number that no event
    /// has is that of another numbering: then it is all of them.
    pub async fn subscribe(&self, id: &OperationId, after: u64) -> Result<Option<OperationStream>> {
        // First, so that nothing is stored unseen in between.
        let more = self.readers.join(id);
        let (store, id) = (self.store.clone(), id.clone());
        let mut stream =
            OperationStream { store, id, position: after, read: VecDeque::new(), more, done: false };
        if after > 0 && !stream.goes_on().await? {
            return Ok(None);
        }
        if after > self.store.last_event(&stream.id).await? {
            stream.position = 0;
        }
        Ok(Some(stream))
    }

    /// The writer lives as long as the process.
    fn send(&self, entry: Entry) {
        let _ = self.queue.send(entry);
    }
}

struct Writer {
    store: Store,
    readers: Readers,
    /// The numbers of the last events of what runs here.
    last: HashMap<OperationId, u64>,
}

impl Writer {
    async fn run(mut self, mut entries: mpsc::UnboundedReceiver<Entry>) {
        let mut batch = Vec::new();
        while entries.recv_many(&mut batch, BATCH).await > 0 {
            while let Err(error) = self.store_all(&batch).await {
                tracing::warn!(%error, "events wait for the store");
                // What was numbered and not stored is numbered anew.
                self.last.clear();
                tokio::time::sleep(RETRY).await;
            }
            for entry in batch.drain(..) {
                match entry {
                    Entry::Flush(stored) => drop(stored.send(())),
                    Entry::Event(id, _, OperationEventBody::Done { .. }) => drop(self.last.remove(&id)),
                    _ => {}
                }
            }
        }
    }

    async fn store_all(&mut self, batch: &[Entry]) -> Result<()> {
        let mut events = Vec::new();
        for entry in batch {
            match entry {
                // An operation that an older version began has told nothing yet.
                Entry::Open(operation) if self.last_of(&operation.id).await? == 0 => {
                    for event in phases(operation) {
                        events.push(self.numbered(&operation.id, event.at, event.body).await?);
                    }
                }
                Entry::Event(id, at, body) => events.push(self.numbered(id, *at, body.clone()).await?),
                Entry::Open(_) | Entry::Flush(_) => {}
            }
        }
        if events.is_empty() {
            return Ok(());
        }
        self.store.append_events(&events).await?;
        self.readers.wake(events.iter().map(|(id, _)| id));
        Ok(())
    }

    async fn numbered(
        &mut self,
        id: &OperationId,
        at: Timestamp,
        body: OperationEventBody,
    ) -> Result<(OperationId, OperationEvent)> {
        let sequence = self.last_of(id).await? + 1;
        self.last.insert(id.clone(), sequence);
        Ok((id.clone(), OperationEvent { sequence, at, body }))
    }

    async fn last_of(&mut self, id: &OperationId) -> Result<u64> {
        if let Some(&last) = self.last.get(id) {
            return Ok(last);
        }
        let last = self.store.last_event(id).await?;
        self.last.insert(id.clone(), last);
        Ok(last)
    }
}

impl OperationStream {
    /// None after the last one, and when the store cannot be read: whoever reads on asks again.
    pub async fn next(&mut self) -> Option<OperationEvent> {
        loop {
            if self.done {
                return None;
            }
            if let Some(event) = self.read.pop_front() {
                self.position = event.sequence;
                self.done = matches!(event.body, OperationEventBody::Done { .. });
                return Some(event);
            }
            match self.fill().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    tracing::warn!(%error, operation = %self.id, "events cannot be read");
                    return None;
                }
            }
        }
    }

    /// Waits for more; false when there will be none.
    async fn fill(&mut self) -> Result<bool> {
        loop {
            self.more.borrow_and_update();
            if self.load().await? {
                return Ok(true);
            }
            let Some(operation) = self.store.operation(&self.id).await? else { return Ok(false) };
            let timeout = if operation.state.is_final() { LAST } else { LOOK };
            let woken = tokio::time::timeout(timeout, self.more.changed()).await.is_ok();
            if operation.state.is_final() && !woken && !self.load().await? {
                let last = self.store.last_event(&self.id).await?;
                self.read.extend(end_of(&operation, last, self.position));
            }
            if !self.read.is_empty() {
                return Ok(true);
            }
        }
    }

    /// False when its place is behind the event with which the operation's story ends.
    async fn goes_on(&self) -> Result<bool> {
        let last = self.store.last_event(&self.id).await?;
        if self.position < last {
            return Ok(true);
        }
        let told = self.store.events_after(&self.id, last.saturating_sub(1), 1).await?;
        if told.iter().any(|event| matches!(event.body, OperationEventBody::Done { .. })) {
            return Ok(self.position != last);
        }
        let Some(operation) = self.store.operation(&self.id).await? else { return Ok(true) };
        let ends = end_of(&operation, last, 0).last().map(|event| event.sequence);
        Ok(!operation.state.is_final() || ends != Some(self.position))
    }

    async fn load(&mut self) -> Result<bool> {
        self.read.extend(self.store.events_after(&self.id, self.position, BATCH as u32).await?);
        Ok(!self.read.is_empty())
    }
}

/// Of an operation whose process died between its end and the telling of it, or that an older version ran: what comes after the
/// last event that is stored, and after the reader's place. It is the same for every reader.
fn end_of(operation: &Operation, last: u64, position: u64) -> Vec<OperationEvent> {
    let mut events = if last == 0 { phases(operation) } else { Vec::new() };
    let at = operation.phases.finished.unwrap_or_else(Timestamp::now);
    let body = OperationEventBody::Done { state: operation.state, error: operation.error.clone() };
    events.push(OperationEvent { sequence: last + events.len() as u64 + 1, at, body });
    events.retain(|event| event.sequence > position);
    events
}

/// The phases that its row has.
fn phases(operation: &Operation) -> Vec<OperationEvent> {
    let reached = Phase::ALL.into_iter().filter_map(|phase| Some((phase, operation.phases.get(phase)?)));
    let numbered = reached.zip(1..);
    numbered
        .map(|((phase, at), sequence)| OperationEvent {
            sequence,
            at,
            body: OperationEventBody::Phase { phase },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use contracts::operation::{OperationKind, OperationState};

    use super::*;
    use crate::store::{End, Hold, NewOperation, WorkspaceRow};

    struct World {
        _folder: tempfile::TempDir,
        store: Store,
        operation: Operation,
    }

    impl World {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&folder.path().join("pilot.db")).await.unwrap();
            let row =
                WorkspaceRow::new("demo".parse().unwrap(), "local".parse().unwrap(), "small".to_owned());
            let new = NewOperation::of(OperationKind::Create, "admin", "req-1");
            let operation = store.insert_workspace(&row, &new).await.unwrap();
            Self { _folder: folder, store, operation }
        }

        async fn ends(&mut self) {
            let lease = Duration::from_secs(9);
            let claimed = self.store.claim("me", lease, &[], &[]).await.unwrap().unwrap();
            self.operation.state = OperationState::Succeeded;
            let (operation, runtime) = (claimed.operation.id, claimed.operation.runtime_id);
            let end = End {
                state: OperationState::Succeeded,
                phases: claimed.operation.phases,
                error: None,
                change: None,
                left: crate::store::Left::All,
            };
            self.store.finish(&Hold { operation, runtime, fence: claimed.fence }, end).await.unwrap();
        }

        async fn collect(&self, feed: &Feed, after: u64) -> Vec<u64> {
            let mut sequences = Vec::new();
            let stream = feed.subscribe(&self.operation.id, after).await.unwrap();
            let Some(mut stream) = stream else { return sequences };
            while let Some(event) = stream.next().await {
                sequences.push(event.sequence);
            }
            sequences
        }

        /// What a process does from there on.
        fn planned(&self, feed: &Feed) {
            feed.open(&self.operation);
            feed.publish(&self.operation.id, OperationEventBody::Phase { phase: Phase::Planned });
        }

        fn done(&self, feed: &Feed) {
            let body = OperationEventBody::Done { state: OperationState::Succeeded, error: None };
            feed.publish(&self.operation.id, body);
        }
    }

    #[tokio::test]
    async fn a_reader_sees_every_event_once_and_the_stream_ends_with_done() {
        let world = World::new().await;
        let feed = Feed::new(world.store.clone());
        let (early, ()) = tokio::join!(world.collect(&feed, 0), async {
            world.planned(&feed);
            feed.flushed().await;
            world.done(&feed);
        });
        assert_eq!(early, [1, 2, 3]);
        assert_eq!(world.collect(&feed, 2).await, [3]);
    }

    #[tokio::test]
    async fn numbers_go_on_where_an_earlier_process_left_off() {
        let mut world = World::new().await;
        let first = Feed::new(world.store.clone());
        world.planned(&first);
        first.flushed().await;
        let second = Feed::new(world.store.clone());
        world.planned(&second);
        world.done(&second);
        world.ends().await;
        assert_eq!(world.collect(&second, 2).await, [3, 4], "a reader of the first goes on");
        assert_eq!(world.collect(&second, 0).await, [1, 2, 3, 4], "and the whole can be read later");
        assert_eq!(world.collect(&second, 4).await, [0; 0], "nothing comes after the end");
        assert_eq!(world.collect(&second, 40).await, [1, 2, 3, 4], "a number of no event begins again");
    }

    #[tokio::test]
    async fn an_operation_that_ended_without_telling_has_an_end_all_the_same() {
        let mut world = World::new().await;
        let feed = Feed::new(world.store.clone());
        world.ends().await;
        assert_eq!(world.collect(&feed, 0).await, [1, 2], "of an older version");
        assert_eq!(world.collect(&feed, 2).await, [0; 0], "an end that is stored nowhere is an end, too");
        world.planned(&feed);
        feed.flushed().await;
        assert_eq!(world.collect(&feed, 0).await, [1, 2, 3], "of a process that died at the end");
        assert_eq!(world.collect(&feed, 3).await, [0; 0]);
    }
}
