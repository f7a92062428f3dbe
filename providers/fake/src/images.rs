//! What machines are made from.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::ErrorCode;
use contracts::workspace::Image;
use provider_api::{Images, ProviderError, Result};

use crate::client::Client;

pub(crate) struct FakeImages {
    pub client: Arc<Client>,
    pub usual: String,
}

#[async_trait]
impl Images for FakeImages {
    fn default_reference(&self) -> Result<String> {
        Ok(self.usual.clone())
    }

    async fn resolve(&self, reference: &str) -> Result<Image> {
        match self.client.look("look for the image", self.client.cloud().image(reference)).await? {
            Some(digest) => Ok(Image { digest: Some(digest), ..Image::named(reference) }),
            None => {
                let message = format!("the cloud has no image {reference}");
                Err(ProviderError::new(ErrorCode::ImageMissing, message)
                    .with_action("Name one that it has: `fake:` and a tag."))
            }
        }
    }
}
