//! Work that threads of its own do: what reads files and compresses is nothing for a thread that others wait for.
//!
//! Such work is not ended by whoever no longer waits for it, and a process that ends waits for it. So it reads through its [`Waiter`],
//! and ends with the next read when nobody waits any more.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use contracts::ErrorCode;
use provider_api::{ProviderError, Result};

/// Whether somebody still waits for the work.
#[derive(Debug, Clone, Default)]
pub struct Waiter {
    is_gone: Arc<AtomicBool>,
}

impl Waiter {
    /// What is read in this way ends with an error once nobody waits for it.
    pub fn reads<R: Read>(&self, from: R) -> impl Read + use<R> {
        WaitedFor { from, waiter: self.clone() }
    }
}

struct WaitedFor<R> {
    from: R,
    waiter: Waiter,
}

impl<R: Read> Read for WaitedFor<R> {
    fn read(&mut self, content: &mut [u8]) -> io::Result<usize> {
        match self.waiter.is_gone.load(Ordering::Relaxed) {
            true => Err(io::Error::other("nobody waits for it any more")),
            false => self.from.read(content),
        }
    }
}

/// Tells the work when the future is dropped, with its runtime or before.
struct Leaves(Waiter);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.is_gone.store(true, Ordering::Relaxed);
    }
}

/// Does the work apart from the threads that others wait for.
pub async fn apart<T: Send + 'static>(work: impl FnOnce(&Waiter) -> Result<T> + Send + 'static) -> Result<T> {
    let waiter = Waiter::default();
    let _leaves = Leaves(waiter.clone());
    tokio::task::spawn_blocking(move || work(&waiter))
        .await
        .unwrap_or_else(|error| Err(ProviderError::new(ErrorCode::Internal, error.to_string())))
}
