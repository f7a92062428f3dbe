//! Cloudflare itself, with the settings of an operator in the environment. `docs/live.md` says what it asks and what it costs.

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
use provider_api::conformance::live::{Limits, Live, run};
use provider_api::{Provider, Settings};
use provider_cloudflare::{CloudflareConfig, CloudflareProvider, ControlKey, Identity};

/// With some settings otherwise than in the environment.
fn provider(others: &[(&str, &str)]) -> Arc<dyn Provider> {
    let var = |name: &str| {
        let other = others.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        other.or_else(|| std::env::var(name).ok())
    };
    let settings = Settings::read(&CloudflareProvider::name(), &CloudflareProvider::settings(), var).unwrap();
    let identity = Identity {
        installation: Live::installation(),
        // Of one process: the next one uploads its own.
        control_key: ControlKey::new([0x5a; 32]),
        gateway_key: "A".repeat(43),
    };
    let timeout = CloudflareConfig::TIMEOUT;
    let boot = CanaryBootFiles::new();
    Arc::new(CloudflareProvider::new(CloudflareConfig { settings, identity: Some(identity), boot, timeout }))
}

/// One test, because there is one installation.
#[tokio::test(flavor = "multi_thread")]
async fn cloudflare_does_what_the_simulator_does() {
    let size = std::env::var("PILOT_CLOUDFLARE_INSTANCE_TYPE").unwrap_or_else(|_| "standard-1".to_owned());
    let is_kept = provider(&[]).describe().persistent_home;
    run(provider(&[]), Limits::from_environment(), |live| async move {
        asks::first_use(&live).await;
        if !is_kept {
            let other = if size == "standard-2" { "standard-1" } else { "standard-2" };
            let larger = provider(&[("PILOT_CLOUDFLARE_INSTANCE_TYPE", other)]);
            asks::refresh_in_mid_rollout(&live, larger).await;
        }
    })
    .await;
}
