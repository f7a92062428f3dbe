//! The connection to one Docker engine: made at the first use, with a limit on every call.

use std::future::Future;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use provider_api::{ProviderError, Result};
use tokio::sync::OnceCell;

use crate::DockerConfig;
use crate::failure::{Answer, classify, image_missing, timed_out};
use crate::locks::Locks;

/// Creating and starting are slow on a busy host; nothing healthy takes longer than this.
const CALL: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(2);
const DEFAULT_SOCKET: &str = "unix:///var/run/docker.sock";

pub(crate) struct Engine {
    pub config: DockerConfig,
    pub locks: Locks,
    client: OnceCell<Docker>,
}

impl Engine {
    pub fn new(config: DockerConfig) -> Self {
        Self { config, locks: Locks::default(), client: OnceCell::new() }
    }

    /// A failed attempt is not remembered: the next call tries again.
    pub async fn docker(&self) -> Result<&Docker> {
        let connect = || async {
            let host = self.config.host.as_deref().unwrap_or(DEFAULT_SOCKET);
            let docker = Docker::connect_with_host(host).map_err(|error| classify("connect", &error))?;
            // An older engine refuses a newer API version outright instead of falling back.
            let docker = within(CONNECT, "connect", docker.negotiate_version()).await?;
            Ok(docker.with_timeout(CALL))
        };
        self.client.get_or_try_init(connect).await
    }

    /// One call with a limit and a classified error. `doing` completes "cannot ...".
    pub async fn ask<T>(
        &self,
        doing: &str,
        call: impl Future<Output = std::result::Result<T, Error>>,
    ) -> Answer<T> {
        within(CALL, doing, call).await
    }

    pub async fn is_ready(&self) -> Result<()> {
        let docker = self.docker().await?;
        within(CONNECT, "reach the engine", docker.ping()).await?;
        let image = &self.config.image;
        match within(CONNECT, "look for the image", docker.inspect_image(image)).await {
            Ok(_) => Ok(()),
            Err(crate::failure::Failure::Absent(_)) => Err(self.no_image(image)),
            Err(other) => Err(ProviderError::from(other)),
        }
    }

    pub fn no_image(&self, image: &str) -> ProviderError {
        image_missing(&format!("the image {image} is not on the Docker host"))
    }
}

/// The client's own limit ends with the response's head; this one covers the body too.
pub(crate) async fn within<T>(
    limit: Duration,
    doing: &str,
    call: impl Future<Output = std::result::Result<T, Error>>,
) -> Answer<T> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map_err(|error| classify(doing, &error)),
        Err(_) => Err(timed_out(doing).into()),
    }
}
