//! When a call is made again.

use std::time::Duration;

use http::StatusCode;

use crate::call::Repeat;
use crate::failure::{Failure, Kind};

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// How long to wait before the next attempt; `None` when there must be none.
pub fn pause(repeat: Repeat, failure: &Failure, attempt: u32) -> Option<Duration> {
    let refused_for_now = failure.status() == Some(StatusCode::TOO_MANY_REQUESTS);
    let may_repeat = match failure.kind {
        // It has waited as long as it may.
        Kind::NotSent => false,
        Kind::Unreachable => true,
        Kind::Lost | Kind::Unreadable => repeat == Repeat::Safe,
        Kind::Refused { .. } => refused_for_now || (failure.may_have_happened() && repeat == Repeat::Safe),
    };
    may_repeat.then(|| failure.retry_after.unwrap_or_else(|| backoff(attempt)))
}

/// Twice as long each time, and somewhere in the upper half of that, so that many do not come at once.
fn backoff(attempt: u32) -> Duration {
    let whole = FIRST.saturating_mul(2u32.saturating_pow(attempt)).min(LONGEST);
    whole.mul_f64(rand::random_range(0.5..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> Failure {
        let status = StatusCode::from_u16(status).unwrap();
        Failure::new(Kind::Refused { status, body: Default::default() }, "")
    }

    #[test]
    fn what_may_have_happened_is_repeated_only_where_twice_is_as_good_as_once() {
        for failure in [Failure::new(Kind::Lost, ""), Failure::new(Kind::Unreadable, ""), refused(500)] {
            assert!(pause(Repeat::Safe, &failure, 0).is_some(), "{failure:?}");
            assert!(pause(Repeat::Once, &failure, 0).is_none(), "{failure:?}");
        }
    }

    #[test]
    fn what_was_not_taken_is_always_repeated_and_a_refusal_never() {
        for repeat in [Repeat::Safe, Repeat::Once] {
            assert!(pause(repeat, &Failure::new(Kind::Unreachable, ""), 0).is_some());
            assert!(pause(repeat, &refused(429), 0).is_some());
            for status in [400, 401, 403, 404, 409, 412, 422, 501] {
                assert!(pause(repeat, &refused(status), 0).is_none(), "{status}");
            }
        }
    }

    #[test]
    fn the_vendors_own_word_on_when_goes_before_ours() {
        let failure = Failure { retry_after: Some(Duration::from_secs(7)), ..refused(429) };
        assert_eq!(pause(Repeat::Once, &failure, 3), Some(Duration::from_secs(7)));
        assert!(backoff(30) <= LONGEST);
    }
}
