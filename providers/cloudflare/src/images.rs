//! What each instance is made from, where each start chooses: an image of the account's own registry by its digest, which
//! Cloudflare prepares before the first start. What a tag there means is asked of the registry.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::ErrorCode;
use contracts::workspace::Image;
use provider_api::{Images, ProviderError, Result};
use provider_http::Call;
use provider_http::registry::Registry;
use provider_kit::image::{registry, repository};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::Cloud;
use crate::api::Api;
use crate::config::{CloudflareConfig, REGISTRY};

/// Who names an image waits for the answer.
const LOOK: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_secs(2);
const COME_AGAIN: Duration = Duration::from_secs(20);

pub(crate) struct CloudflareImages {
    pub cloud: Arc<Cloud>,
}

/// Whether Cloudflare can prepare it: no tag says for long what it means, and other registries are not read.
pub(crate) fn is_exact(config: &CloudflareConfig, reference: &str) -> bool {
    let digest = reference.split_once("@sha256:").map_or("", |(_, digest)| digest);
    [config.registry(), REGISTRY].contains(&registry(reference).unwrap_or_default())
        && digest.len() == 64
        && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(crate) fn not_exact(reference: &str) -> ProviderError {
    let message =
        format!("with the scheduling policy durable_object Cloudflare takes no image {reference:?}");
    ProviderError::new(ErrorCode::ImageMissing, message).with_action(
        "Name it as registry.cloudflare.com/ACCOUNT/NAME@sha256:DIGEST; `pilot image push` brings an image there and says its digest. A workspace can be updated to NAME:TAG there, too.",
    )
}

impl CloudflareImages {
    /// The same by its digest, where a tag is named.
    async fn exactly(&self, reference: &str) -> Result<String> {
        let config = &self.cloud.config;
        if is_exact(config, reference) {
            return Ok(reference.to_owned());
        }
        if registry(reference) != Some(config.registry()) || reference.contains('@') {
            return Err(not_exact(reference));
        }
        let login = self.login(config.registry(), &["pull"]).await?;
        let found = Registry::of(reference, Some(&login))?.look(reference).await?;
        Ok(format!("{}@{}", repository(reference), found.digest))
    }

    async fn prepare(&self, reference: &str) -> Result<Value> {
        let config = &self.cloud.config;
        let call = Call::post(Api::path(config, "/containers/image-preparations")?)
            .json(json!({"image": reference}))
            .repeatable();
        self.cloud.api.result(config, "have the image prepared", call).await
    }
}

#[async_trait]
impl Images for CloudflareImages {
    fn default_reference(&self) -> Result<String> {
        self.cloud.config.settings.require("image").map(str::to_owned)
    }

    async fn resolve(&self, reference: &str) -> Result<Image> {
        let exact = self.exactly(reference).await?;
        let deadline = Instant::now() + self.cloud.config.timeout.min(LOOK);
        loop {
            let told = self.prepare(&exact).await?;
            match told["status"].as_str() {
                Some("ready") => break,
                Some("pending") if Instant::now() + PAUSE < deadline => sleep(PAUSE).await,
                Some("pending") => {
                    let message = format!("Cloudflare prepares the image {reference} still");
                    let mut error = ProviderError::new(ErrorCode::ProviderCapacity, message)
                        .with_action("Wait: it takes some minutes for an image that is new at the account.");
                    error.retry_after = Some(COME_AGAIN);
                    return Err(error);
                }
                _ => {
                    let why = told["reason"].as_str().unwrap_or("without a reason");
                    let message = format!("Cloudflare cannot prepare the image {reference}: {why}");
                    return Err(ProviderError::new(ErrorCode::ImageMissing, message)
                        .with_action("Push it to the account's registry, and name it by its digest."));
                }
            }
        }
        // Cloudflare runs images for this one alone.
        let architecture = Some("amd64".to_owned());
        Ok(Image { reference: reference.to_owned(), digest: Some(exact), architecture })
    }
}
