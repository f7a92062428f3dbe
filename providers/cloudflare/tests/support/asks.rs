//! What Cloudflare is asked: by `live_cloudflare.rs` itself, by `engine_live.rs` its simulator.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use provider_api::Provider;
use provider_api::conformance::Stack;
use provider_api::conformance::live::{Live, ask_the_usual};

/// A first provisioning, and what every vendor is asked.
pub async fn first_use(live: &Live) {
    live.step("ready", live.provider.ready()).await.unwrap();
    if let Some(images) = live.provider.images() {
        let usual = images.default_reference().unwrap();
        live.step("the image is prepared", images.resolve(&usual)).await.unwrap();
    }
    let mut shared = Stack::shared(live.provider.clone(), &Live::installation());
    live.step("the Worker, its name and the application", shared.up()).await;
    // At a fresh account the first container finds a place after minutes: the create says so, and is repeated.
    let mut first = live.runtime();
    loop {
        match live.step("a first container", first.try_up()).await {
            Ok(()) => break,
            Err(error) => {
                live.tell(&format!("{}: {error}", error.code));
                let pause =
                    error.retry_after.unwrap_or_else(|| panic!("it does not come by itself: {error:?}"));
                tokio::time::sleep(pause.min(Duration::from_secs(30))).await;
            }
        }
    }
    live.step("its delete", first.down()).await;
    ask_the_usual(live).await;
}

/// A refresh while another size is rolled out: it reads as what was asked for, and nobody begins a second rollout.
pub async fn refresh_in_mid_rollout(live: &Live, larger: Arc<dyn Provider>) {
    let mut shared = Stack::shared(live.provider.clone(), &Live::installation());
    live.step("the shared stack", shared.up()).await;
    let mut other = Stack::shared(larger, &Live::installation());
    live.step("another size", other.up()).await;
    let read = live.step("a refresh", other.read("application")).await.unwrap().unwrap();
    assert_eq!(read.inputs, other.state["application"].0);
    live.step("the same again", other.up()).await;
}
