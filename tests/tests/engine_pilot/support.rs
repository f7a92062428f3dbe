//! What every test here stands on.

pub mod api;
pub mod clouds;
pub mod collector;
pub mod docker;
pub mod other_engine;
pub mod repo;
pub mod sse;
pub mod witness;
pub mod world;

use std::time::Duration;

use tokio::time::Instant;

/// Polls until `check` gives something; fails with `what` at the deadline.
pub async fn eventually<T, F>(what: &str, within: Duration, mut check: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < deadline, "within {within:?} there was never: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
