//! What machines are made from, and how it gets to the cloud.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use contracts::ErrorCode;
use contracts::workspace::Image;
use provider_api::{Copied, ImageStore, Images, ProviderError, Result, Told};
use provider_kit::archive::Archive;
use provider_kit::image::tagged;

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
                    .with_action("Name one that it has: `fake:` and a tag, or one that was pushed."))
            }
        }
    }
}

/// What the cloud's machines are for.
const ARCHITECTURE: &str = "amd64";

/// The cloud keeps the name and what tells the image from others, and nothing of its content: it runs none.
#[async_trait]
impl ImageStore for FakeImages {
    async fn push(&self, name: &str, archive: &Path, told: &Told) -> Result<Image> {
        tagged(name)?;
        let archive = Archive::open(archive.to_owned()).await?;
        if let Some(other) = archive.architecture.as_deref().filter(|name| *name != ARCHITECTURE) {
            let message = format!("the image is for {other}, and the cloud's machines are {ARCHITECTURE}");
            return Err(ProviderError::new(ErrorCode::ImageUnusable, message)
                .with_action(format!("Build it for {ARCHITECTURE}.")));
        }
        told.tell(Copied { done: 0, total: archive.size });
        let content = String::from_utf8_lossy(&archive.config);
        let digest = format!("{:016x}", contracts::hash::stable(&content));
        self.client.ask("push the image", self.client.cloud().push_image(name, &digest)).await?;
        told.tell(Copied { done: archive.size, total: archive.size });
        let digest = Some(format!("{name}@{digest}"));
        Ok(Image { digest, architecture: archive.architecture, ..Image::named(name) })
    }
}
