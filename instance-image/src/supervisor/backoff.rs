//! The pause before OpenCode is started again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

/// A run that answered and lived this long starts the count anew.
const HEALTHY: Duration = Duration::from_secs(30);

/// Doubles with each failure in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn note(&mut self, lived: Duration, answered: bool) {
        self.failures = if answered && lived >= HEALTHY { 1 } else { self.failures.saturating_add(1) };
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        FIRST.saturating_mul(1 << doublings).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_to_a_limit_and_a_healthy_run_resets_it() {
        let mut backoff = Backoff::default();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            backoff.note(Duration::from_secs(1), false);
            pauses.push(backoff.pause().as_millis());
        }
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        backoff.note(HEALTHY, true);
        assert_eq!((backoff.pause(), backoff.failures()), (FIRST, 1));
    }
}
