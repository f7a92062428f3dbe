//! Whether a service answers.

use std::time::Duration;

use contracts::ErrorCode;
use provider_api::{ProviderError, Result};

/// A healthy service on the same machine answers at once.
const PROBE: Duration = Duration::from_secs(2);

pub(super) struct Health {
    client: reqwest::Client,
    url: String,
}

impl Health {
    pub fn new(url: &str) -> Result<Self> {
        let unusable = |error: reqwest::Error| {
            ProviderError::new(ErrorCode::BadRequest, format!("the health URL {url} is unusable: {error}"))
        };
        // A proxy would answer for a service that is away, and another place for one that redirects.
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = client.timeout(PROBE).build().map_err(unusable)?;
        client.get(url).build().map_err(unusable)?;
        Ok(Self { client, url: url.to_owned() })
    }

    /// `Err` completes "it is not healthy: ...".
    pub async fn ask(&self) -> std::result::Result<(), String> {
        match self.client.get(&self.url).send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(format!("{} answers with {}", self.url, response.status())),
            Err(error) if error.is_timeout() => Err(format!("{} does not answer in time", self.url)),
            Err(_) => Err(format!("nothing answers at {}", self.url)),
        }
    }

    /// Anything that speaks HTTP there: a service that is yet to start cannot have that address.
    pub async fn is_taken(&self) -> bool {
        self.client.get(&self.url).send().await.is_ok()
    }

    pub fn url(&self) -> &str {
        &self.url
    }
}
