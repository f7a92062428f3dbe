//! One action at a time on each thing, within this program. Between programs the vendor's own conflicts decide; this only
//! spares the common case that trouble. What nobody holds or waits for is forgotten.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

/// The lock of one thing. A future that was given one may wait for it later.
pub type Lock = Arc<tokio::sync::Mutex<()>>;

/// A lock for each key: a runtime, a name, a URN.
pub struct Locks<K> {
    known: Mutex<HashMap<K, Weak<tokio::sync::Mutex<()>>>>,
}

impl<K> Default for Locks<K> {
    fn default() -> Self {
        Self { known: Mutex::default() }
    }
}

impl<K: Hash + Eq + Clone> Locks<K> {
    /// Waits until nobody else has it. It is given back when the guard is dropped.
    pub async fn lock(&self, key: &K) -> OwnedMutexGuard<()> {
        self.of(key).lock_owned().await
    }

    /// The lock itself, for work that begins elsewhere; from now on [`Locks::idle`] waits for it.
    pub fn of(&self, key: &K) -> Lock {
        let mut known = self.known();
        known.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = known.get(key).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Lock::default();
        known.insert(key.clone(), Arc::downgrade(&lock));
        lock
    }

    /// Waits until all that is held or waited for now, of these keys, was given back.
    pub async fn idle(&self, counts: impl Fn(&K) -> bool) {
        let of_these = |(key, lock): (&K, &Weak<_>)| counts(key).then(|| lock.upgrade()).flatten();
        let held: Vec<Lock> = self.known().iter().filter_map(of_these).collect();
        for lock in held {
            drop(lock.lock().await);
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<K, Weak<tokio::sync::Mutex<()>>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    /// Whether it ends without waiting.
    fn is_ready(future: impl Future) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn one_key_is_held_once_and_another_is_free() {
        let locks = Locks::default();
        let held = locks.lock(&"a").await;
        assert!(!is_ready(locks.lock(&"a")));
        assert!(is_ready(locks.lock(&"b")));
        drop(held);
        assert!(is_ready(locks.lock(&"a")));
    }

    #[tokio::test]
    async fn what_nobody_holds_is_forgotten() {
        let locks = Locks::default();
        let held = locks.lock(&"a").await;
        for key in ["b", "c", "d"] {
            drop(locks.lock(&key).await);
        }
        assert_eq!(locks.known().len(), 2, "what is held, and the last");
        drop(held);
        let last = locks.of(&"e");
        assert_eq!(locks.known().len(), 1);
        drop(last);
    }

    #[tokio::test]
    async fn only_the_keys_that_count_are_waited_for_and_those_also_before_their_work_begins() {
        let locks = Locks::default();
        let later = locks.of(&"a");
        let work = later.lock().await;
        assert!(is_ready(locks.idle(|key| *key == "b")));
        assert!(!is_ready(locks.idle(|key| *key == "a")));
        drop(work);
        assert!(is_ready(locks.idle(|_| true)));
    }
}
