//! Fly.io itself, with the settings of an operator in the environment. `docs/live.md` says what it asks and what it costs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

#[path = "support/asks.rs"]
mod asks;

use std::sync::Arc;

use provider_api::conformance::CanaryBootFiles;
use provider_api::conformance::live::{Limits, run};
use provider_api::{Provider, Settings};
use provider_fly::{FlyProvider, SETTINGS};

/// One test, because there is one installation. That the image of a nested path such as `registry.fly.io/APP/NAME` is taken is asked
/// by naming one in `PILOT_FLY_IMAGE`.
#[tokio::test(flavor = "multi_thread")]
async fn fly_does_what_the_simulator_does() {
    let settings =
        Settings::read(&"fly".parse().unwrap(), &SETTINGS, |name| std::env::var(name).ok()).unwrap();
    let boot = CanaryBootFiles::new();
    let provider: Arc<dyn Provider> = Arc::new(FlyProvider::new(settings, boot.clone()));
    run(provider, Limits::from_environment(), |live| async move { asks::all(&live, &boot).await }).await;
}
