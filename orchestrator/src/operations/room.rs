//! How many operations work at a provider at once. One that only waits gives its place to another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::wiring::Providers;

/// For a provider that is not configured any more.
const UNKNOWN: usize = 4;

pub struct Rooms {
    rooms: Mutex<HashMap<String, Arc<Semaphore>>>,
    freed: Arc<Notify>,
}

/// One provider's.
pub struct Room {
    places: Arc<Semaphore>,
    freed: Arc<Notify>,
}

impl Room {
    /// A place, as soon as there is one.
    pub async fn enter(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).acquire_owned().await.ok()?;
        Some(Place { _permit: permit, freed: Arc::clone(&self.freed) })
    }

    /// A place, if there is one.
    pub fn try_enter(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Place { _permit: permit, freed: Arc::clone(&self.freed) })
    }
}

/// Somebody's place; free again when dropped.
pub struct Place {
    _permit: OwnedSemaphorePermit,
    freed: Arc<Notify>,
}

impl Rooms {
    pub fn of(providers: &Providers) -> Self {
        let room = |provider: &Arc<dyn provider_api::Provider>| {
            (provider.describe().name.to_string(), Arc::new(Semaphore::new(provider.concurrency().max(1))))
        };
        Self { rooms: Mutex::new(providers.all().map(room).collect()), freed: Arc::default() }
    }

    /// Those where nobody has a place to give.
    pub fn full(&self) -> Vec<String> {
        let rooms = self.lock();
        let full = rooms.iter().filter(|(_, room)| room.available_permits() == 0);
        full.map(|(name, _)| name.clone()).collect()
    }

    /// False while all are full.
    pub fn has_place(&self) -> bool {
        let rooms = self.lock();
        rooms.is_empty() || rooms.values().any(|room| room.available_permits() > 0)
    }

    pub fn of_provider(&self, provider: &str) -> Room {
        let mut rooms = self.lock();
        let room = rooms.entry(provider.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(UNKNOWN)));
        Room { places: Arc::clone(room), freed: Arc::clone(&self.freed) }
    }

    /// Ends when a place has become free since the last time.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Semaphore>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.freed.notify_one();
    }
}

#[cfg(test)]
mod tests;
