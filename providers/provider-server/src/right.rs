//! By what right an operation changes what is outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contracts::ErrorCode;
use provider_api::ProviderError;
use rustix::time::{ClockId, clock_gettime};

/// What whoever lets an engine work on a stack says of the calls that come of it.
#[derive(Debug, Clone, Default)]
pub struct Right {
    /// What the modules are told; see [`provider_api::fence`].
    pub fence: Option<u64>,
    /// Where nothing outside keeps a fence: how long the others stay away. Nothing is changed after that.
    pub until: Option<Until>,
}

/// A moment that can be put off. All clones are the same one.
#[derive(Debug, Clone)]
pub struct Until(Arc<AtomicU64>);

impl Until {
    /// In so much time from now.
    pub fn after(time: Duration) -> Self {
        Self(Arc::new(AtomicU64::new(moment(since_boot() + time))))
    }

    /// Never.
    pub fn ever() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// Takes the other's moment.
    pub fn put_off(&self, to: &Self) {
        self.0.store(to.0.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Also of a process that was stopped, or a machine that has slept meanwhile.
    pub fn is_over(&self) -> bool {
        moment(since_boot()) >= self.0.load(Ordering::Relaxed)
    }
}

impl Right {
    /// Passes while it holds.
    pub fn must_hold(&self) -> Result<(), ProviderError> {
        match &self.until {
            Some(until) if until.is_over() => {
                let message = "nothing was changed: this operation's lease on what workspaces share is over";
                Err(ProviderError::new(ErrorCode::Fenced, message)
                    .with_action("Nothing to do: the operation goes on when it has the lease again."))
            }
            _ => Ok(()),
        }
    }
}

/// Other than the clock of `Instant`, this one goes on while the machine sleeps.
fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// In milliseconds.
fn moment(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_ends_with_its_time_unless_that_is_put_off() {
        let until = Until::after(Duration::ZERO);
        let right = Right { fence: None, until: Some(until.clone()) };
        assert_eq!(right.must_hold().unwrap_err().code, ErrorCode::Fenced);
        until.put_off(&Until::after(Duration::from_secs(60)));
        assert!(right.must_hold().is_ok());
        assert!(!Until::ever().is_over());
        assert!(Right { fence: Some(3), until: None }.must_hold().is_ok(), "others keep a fence outside");
    }
}
