//! The runs of one process that may leave a stack's state in the middle of something when it dies.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::Place;

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
