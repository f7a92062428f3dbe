//! The simulator's own clock: the computer's, moved by what a `clock_skew` fault says for one request.

use std::future::Future;

use jiff::{SignedDuration, Timestamp};

tokio::task_local! {
    static SKEW: SignedDuration;
}

/// Now, as the request that is being answered sees it.
pub fn now() -> Timestamp {
    let skew = SKEW.try_with(|skew| *skew).unwrap_or_default();
    let now = Timestamp::now();
    now.checked_add(skew).unwrap_or(now)
}

/// Runs a request with another clock.
pub async fn skewed<F: Future>(seconds: i64, request: F) -> F::Output {
    SKEW.scope(SignedDuration::from_secs(seconds), request).await
}

/// The form of HTTP's `Date` header.
pub fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_skewed_request_sees_another_time_and_nobody_else_does() {
        let before = now();
        let skewed = skewed(-3600, async { now() }).await;
        assert!(skewed < before && now() >= before);
    }

    #[test]
    fn a_date_header_has_the_form_of_http() {
        let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(http_date(at), "Fri, 02 Jan 2026 03:04:05 GMT");
    }
}
