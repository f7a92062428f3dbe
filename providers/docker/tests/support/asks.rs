//! What a Docker host is asked: the same of one's own over SSH and of the engine here.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use provider_api::conformance::live::{Live, ask_the_usual};

/// Everything.
pub async fn all(live: &Live) {
    live.step("ready", live.provider.ready()).await.unwrap();
    ask_the_usual(live).await;
}
