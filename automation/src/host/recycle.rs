//! Recycling: a process that takes much memory, or has served the operations that it may, is replaced by a fresh one
//! behind the back of those who use it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When a process is recycled.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// After so many operations, whatever they have left; none by default, because they leave nothing.
    pub operations: Option<u32>,
    /// When it takes more memory than this, in bytes of what is resident, after `few` operations.
    pub memory: u64,
    /// A fresh process that is large already would be no better.
    pub few: u32,
    /// The pause after a replacement that did not start.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { operations: None, few: 20, memory: 512 << 20, pause: Duration::from_secs(60) }
    }
}

/// What one process has been through.
#[derive(Debug, Default)]
pub(super) struct Recycle(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    operations: u32,
    /// Its replacement is on the way.
    replacing: bool,
    /// When the last one did not come.
    missed: Option<Instant>,
}

/// A replacement on the way; dropped, there may be another one after the pause.
pub(super) struct Replacing(Recycle);

impl Drop for Replacing {
    fn drop(&mut self) {
        let mut state = self.0.state();
        (state.replacing, state.missed) = (false, Some(Instant::now()));
    }
}

impl Recycle {
    /// An operation has ended, in whatever way, in the process with this id: whether it is to be replaced now.
    pub fn after_operation(&self, limits: &Limits, pid: u32) -> Option<Replacing> {
        self.add(limits, || resident(pid)).then(|| Replacing(Self(Arc::clone(&self.0))))
    }

    /// Counts an operation; true when the process is to be replaced now, and then it counts as being so.
    fn add(&self, limits: &Limits, memory: impl FnOnce() -> Option<u64>) -> bool {
        let mut state = self.state();
        state.operations += 1;
        if state.replacing || state.missed.is_some_and(|missed| missed.elapsed() < limits.pause) {
            return false;
        }
        let is_large = || memory().is_some_and(|memory| memory > limits.memory);
        let count = state.operations;
        let enough = limits.operations.is_some_and(|most| count >= most);
        state.replacing = enough || (count >= limits.few && is_large());
        state.replacing
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory that a process has now. None where the kernel does not tell it.
fn resident(pid: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_recycled_after_the_operations_that_it_may_serve_or_some_and_much_memory() {
        let limits = Limits { operations: Some(5), few: 3, memory: 100, pause: Duration::ZERO };
        let recycled_at = |memory: Option<u64>| {
            let recycle = Recycle::default();
            (1..10).find(|_| recycle.add(&limits, || memory))
        };
        assert_eq!(recycled_at(Some(100)), Some(5));
        assert_eq!(recycled_at(Some(101)), Some(3));
        assert_eq!(recycled_at(None), Some(5));
        let recycle = Recycle::default();
        let by_memory = Limits { operations: None, ..limits };
        assert!(
            !(1..1000).any(|_| recycle.add(&by_memory, || Some(100))),
            "many operations alone are no reason"
        );
    }

    #[test]
    fn a_process_is_not_replaced_twice_at_once_or_soon_after_a_failure() {
        let limits = Limits { operations: Some(1), ..Limits::default() };
        let recycle = Recycle::default();
        assert_eq!([0; 3].map(|_| recycle.add(&limits, || None)), [true, false, false]);
        *recycle.state() = State { operations: 3, replacing: false, missed: Some(Instant::now()) };
        assert!(!recycle.add(&limits, || None));
        assert!(recycle.add(&Limits { pause: Duration::ZERO, ..limits }, || None));
    }

    #[test]
    fn the_memory_of_a_process_is_what_the_kernel_tells() {
        if cfg!(target_os = "linux") {
            assert!(resident(std::process::id()).unwrap() > 1 << 20);
        }
        assert_eq!(resident(u32::MAX), None);
    }
}
