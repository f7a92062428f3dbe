//! How a fault bends one request: what is too young to be shown to it.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

tokio::task_local! {
    static LAG: Duration;
}

/// Runs a request that does not see what is younger than `lag`.
pub async fn lagging<F: Future>(lag: Duration, request: F) -> F::Output {
    LAG.scope(lag, request).await
}

/// Whether the request that is being answered may see an object of this age.
pub fn shows(created_at: Timestamp) -> bool {
    let lag = LAG.try_with(|lag| *lag).unwrap_or_default();
    let age = Timestamp::now().duration_since(created_at);
    lag.is_zero() || age.unsigned_abs() >= lag
}
