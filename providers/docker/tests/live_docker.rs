//! A Docker host of one's own, over SSH or a socket. `docs/live.md` says what it asks and what it costs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

#[path = "support/asks.rs"]
mod asks;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use provider_api::conformance::CanaryBootFiles;
use provider_api::conformance::live::{Limits, run};
use provider_api::{Provider, Settings};
use provider_docker::{DockerConfig, DockerEnv, DockerProvider, SETTINGS};

#[tokio::test(flavor = "multi_thread")]
async fn a_docker_host_does_what_the_engine_here_does() {
    let var = |name: &str| std::env::var(name).ok();
    let host = var("PILOT_LIVE_DOCKER_HOST").expect("PILOT_LIVE_DOCKER_HOST names the host");
    let usual = concat!("pilot-instance:", env!("CARGO_PKG_VERSION"));
    let provider: Arc<dyn Provider> = Arc::new(DockerProvider::new(DockerConfig {
        host: Some(host),
        env: DockerEnv::read(var),
        settings: Settings::read(&"docker".parse().unwrap(), SETTINGS, var).unwrap(),
        image: var("PILOT_IMAGE").unwrap_or_else(|| usual.to_owned()),
        boot: CanaryBootFiles::new(),
        logins: Arc::new(provider_api::NoLogins),
        publish: IpAddr::V4(Ipv4Addr::LOCALHOST),
        ports: None,
    }));
    run(provider, Limits::from_environment(), |live| async move { asks::all(&live).await }).await;
}
