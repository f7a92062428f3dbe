//! Stacks whose state may be in the middle of something: of the runs of one process, should it die, and those that are
//! being recovered from that.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::engine::Place;
use crate::error::{Error, Result};

/// A stack, wherever in the program it is spoken of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StackKey {
    backend: String,
    project: String,
    stack: String,
}

impl StackKey {
    /// `stack` may be a full name, with organisation and project.
    pub fn new(place: &Place, stack: &str) -> Self {
        let stack = stack.rsplit('/').next().unwrap_or(stack).to_owned();
        Self { backend: place.backend.url(), project: place.project.clone(), stack }
    }

    pub fn stack(&self) -> &str {
        &self.stack
    }
}

#[derive(Debug, Default)]
pub(super) struct Unsettled(Mutex<BTreeMap<u64, Entry>>);

#[derive(Debug)]
struct Entry {
    key: StackKey,
    place: Place,
    /// Nobody waits for its end any more, so nobody hears of it.
    abandoned: bool,
}

impl Unsettled {
    pub fn begin(&self, run: u64, key: StackKey, place: &Place) {
        self.entries().insert(run, Entry { key, place: place.clone(), abandoned: false });
    }

    /// The run has ended. One that succeeded has the stack's lock behind it: what was abandoned on the same
    /// stack before has ended, too.
    pub fn end(&self, run: u64, succeeded: bool) {
        let mut entries = self.entries();
        if let Some(ended) = entries.remove(&run)
            && succeeded
        {
            entries.retain(|_, entry| !entry.abandoned || entry.key != ended.key);
        }
    }

    pub fn abandon(&self, run: u64) {
        if let Some(entry) = self.entries().get_mut(&run) {
            entry.abandoned = true;
        }
    }

    /// Each stack once.
    pub fn take(&self) -> BTreeMap<StackKey, Place> {
        std::mem::take(&mut *self.entries()).into_values().map(|entry| (entry.key, entry.place)).collect()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stacks that are being recovered now.
#[derive(Default)]
pub(super) struct Recoveries(Arc<Mutex<HashMap<StackKey, watch::Receiver<()>>>>);

/// A stack that is being recovered, until this is dropped.
pub(super) struct Recovering {
    all: Recoveries,
    key: StackKey,
    /// Dropped after the key is gone: whoever waits is woken then.
    _sender: watch::Sender<()>,
}

impl Recoveries {
    /// Others wait for this stack from now on.
    pub fn begin(&self, key: StackKey) -> Recovering {
        let (sender, receiver) = watch::channel(());
        self.running().insert(key.clone(), receiver);
        Recovering { all: Self(Arc::clone(&self.0)), key, _sender: sender }
    }

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

impl Drop for Recovering {
    fn drop(&mut self) {
        self.all.running().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    #[test]
    fn a_stack_is_unsettled_until_its_own_run_has_ended() {
        let place = Recorder::default().workspace().place().clone();
        let unsettled = Unsettled::default();
        let key = |stack: &str| StackKey::new(&place, stack);
        unsettled.begin(1, key("dev"), &place);
        unsettled.begin(2, key("organization/shop/dev"), &place);
        // Refused, because the first has the lock.
        unsettled.end(2, false);
        unsettled.abandon(1);
        assert_eq!(unsettled.entries().len(), 1);
        unsettled.begin(3, key("dev"), &place);
        unsettled.end(3, true);
        assert!(unsettled.entries().is_empty());
        unsettled.begin(4, key("dev"), &place);
        unsettled.begin(5, key("dev"), &place);
        assert_eq!(unsettled.take().into_keys().collect::<Vec<_>>(), [key("dev")]);
    }
}
