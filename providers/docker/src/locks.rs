//! One action at a time on each runtime, within this program. Between programs Docker's own conflicts
//! decide; this only spares the common case that trouble.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use contracts::RuntimeId;
use tokio::sync::OwnedMutexGuard;

#[derive(Default)]
pub(crate) struct Locks {
    runtimes: Mutex<HashMap<RuntimeId, Weak<tokio::sync::Mutex<()>>>>,
}

impl Locks {
    pub async fn lock(&self, runtime: &RuntimeId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut runtimes = self.runtimes.lock().unwrap_or_else(PoisonError::into_inner);
            runtimes.retain(|_, lock| lock.strong_count() > 0);
            match runtimes.get(runtime).and_then(Weak::upgrade) {
                Some(lock) => lock,
                None => {
                    let lock = Arc::new(tokio::sync::Mutex::new(()));
                    runtimes.insert(runtime.clone(), Arc::downgrade(&lock));
                    lock
                }
            }
        };
        lock.lock_owned().await
    }
}
