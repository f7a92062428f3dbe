//! By what authority an operation changes what is outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contracts::ErrorCode;
use provider_api::ProviderError;
use rustix::time::{ClockId, clock_gettime};

/// What whoever lets an engine work on a stack says of the calls that come of it.
#[derive(Debug, Clone, Default)]
pub struct Authority {
    /// What the modules are told; see [`provider_api::fence`].
    pub fence: Option<u64>,
    /// Where nothing outside keeps a fence: how long the others stay away. Nothing is changed after that.
    pub expiry: Option<Expiry>,
}

/// A moment that can be put off. All clones are the same one.
#[derive(Debug, Clone)]
pub struct Expiry(Arc<AtomicU64>);

impl Expiry {
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

impl Authority {
    /// Passes while it holds.
    pub fn must_hold(&self) -> Result<(), ProviderError> {
        match &self.expiry {
            Some(expiry) if expiry.is_over() => {
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
        let expiry = Expiry::after(Duration::ZERO);
        let authority = Authority { fence: None, expiry: Some(expiry.clone()) };
        assert_eq!(authority.must_hold().unwrap_err().code, ErrorCode::Fenced);
        expiry.put_off(&Expiry::after(Duration::from_secs(60)));
        assert!(authority.must_hold().is_ok());
        assert!(!Expiry::ever().is_over());
        assert!(
            Authority { fence: Some(3), expiry: None }.must_hold().is_ok(),
            "others keep a fence outside"
        );
    }
}
