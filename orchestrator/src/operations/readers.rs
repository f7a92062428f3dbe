//! Who waits for events of which operation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contracts::OperationId;
use tokio::sync::{broadcast, watch};

/// Cheap to clone; clones are the same ones.
#[derive(Clone, Default)]
pub struct Readers(Arc<Mutex<HashMap<OperationId, watch::Sender<()>>>>);

impl Readers {
    pub fn join(&self, id: &OperationId) -> watch::Receiver<()> {
        let mut readers = self.lock();
        readers.retain(|_, waiting| waiting.receiver_count() > 0);
        readers.entry(id.clone()).or_insert_with(|| watch::channel(()).0).subscribe()
    }

    pub fn wake<'a>(&self, ids: impl Iterator<Item = &'a OperationId>) {
        let readers = self.lock();
        for waiting in ids.filter_map(|id| readers.get(id)) {
            waiting.send_replace(());
        }
    }

    /// What is told in other processes. What is missed is found by those who look from time to time.
    pub async fn hear(self, mut told: broadcast::Receiver<String>) {
        loop {
            match told.recv().await {
                Ok(id) => self.wake(id.parse().iter()),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OperationId, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
