//! When something must have ended that may have no timeout.

use std::time::Duration;

use tokio::time::Instant;

/// Longer than any process lives, and a time that every clock can count to.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Without a timeout it never comes.
pub(crate) fn after(timeout: Option<Duration>) -> Instant {
    let now = Instant::now();
    timeout.and_then(|timeout| now.checked_add(timeout)).unwrap_or_else(|| now + NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_timeout_or_with_an_endless_one_a_deadline_is_far_away() {
        let far = Instant::now() + NEVER / 2;
        assert!(after(None) > far && after(Some(Duration::MAX)) > far);
        assert!(after(Some(Duration::from_secs(1))) < far);
        let waiting = tokio::time::timeout(Duration::from_millis(20), tokio::time::sleep_until(after(None)));
        assert!(waiting.await.is_err(), "a timer can wait for it");
    }
}
