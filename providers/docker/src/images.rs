//! What containers are made from: an image's name, and the digest or the id that it has at present.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::workspace::Image;
use provider_api::{Images, Result};

use crate::hosts::Hosts;
use crate::pull;

pub(crate) struct DockerImages {
    pub hosts: Arc<Hosts>,
}

#[async_trait]
impl Images for DockerImages {
    fn default_reference(&self) -> Result<String> {
        Ok(self.hosts.config.image.clone())
    }

    /// What is on no host is asked of its registry, and pulled when an instance is made from it. Where hosts have images of their own under one name, the name is all that is true on each of them.
    async fn resolve(&self, reference: &str) -> Result<Image> {
        pull::resolve(self.hosts.all()?, reference).await
    }
}
