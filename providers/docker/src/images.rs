//! What containers are made from: an image's name, and the id that it has at present.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::workspace::Image;
use futures_util::future::join_all;
use provider_api::{Images, Result};

use crate::hosts::Hosts;

pub(crate) struct DockerImages {
    pub hosts: Arc<Hosts>,
}

#[async_trait]
impl Images for DockerImages {
    fn default_reference(&self) -> Result<String> {
        Ok(self.hosts.config.image.clone())
    }

    /// Where hosts have images of their own under one name, the name is all that is true on each of them.
    async fn resolve(&self, reference: &str) -> Result<Image> {
        let engines = self.hosts.all()?;
        let mut ids = Vec::new();
        for id in join_all(engines.iter().map(|engine| engine.image_id(reference))).await {
            ids.extend(id?);
        }
        let Some(first) = ids.first() else { return Err(self.hosts.first()?.no_image(reference)) };
        let digest = ids.iter().all(|id| id == first).then(|| first.clone());
        Ok(Image { digest, ..Image::named(reference) })
    }
}
