//! Images in the account's own registry, `registry.cloudflare.com/ACCOUNT/NAME:TAG`.
//!
//! A login for it is asked of the API for each push, and is over after an hour. Containers are made from it by the digest of its manifest
//! where each start chooses, and by tag or digest where the application has one image for all. Cloudflare takes no tag `latest`.

use std::path::Path;

use async_trait::async_trait;
use contracts::ErrorCode;
use contracts::workspace::Image;
use provider_api::{ImageStore, Login, ProviderError, Result, Told};
use provider_http::Call;
use provider_http::registry::Registry;
use provider_kit::archive::Archive;
use provider_kit::image::{registry, tagged, without_registry};
use serde_json::json;

use crate::api::Api;
use crate::config::CloudflareConfig;
use crate::images::CloudflareImages;

const LIFETIME_MINUTES: u32 = 60;
const ARCHITECTURE: &str = "amd64";

#[async_trait]
impl ImageStore for CloudflareImages {
    async fn push(&self, name: &str, archive: &Path, told: &Told) -> Result<Image> {
        let config = &self.cloud.config;
        let reference = reference(config, name)?;
        let found = Archive::open(archive.to_owned()).await?;
        if let Some(other) = found.architecture.filter(|name| name != ARCHITECTURE) {
            let message = format!("the image is for {other}, and Cloudflare's containers are {ARCHITECTURE}");
            return Err(ProviderError::new(ErrorCode::ImageUnusable, message)
                .with_action("Build it for amd64 (`docker build --platform linux/amd64`)."));
        }
        let login = self.login(config.registry(), &["push", "pull"]).await?;
        let registry = Registry::of(&reference, Some(&login))?;
        registry.push(&reference, archive, told).await
    }
}

impl CloudflareImages {
    pub(crate) async fn login(&self, host: &str, permissions: &[&str]) -> Result<Login> {
        let config = &self.cloud.config;
        let path = Api::path(config, &format!("/containers/registries/{host}/credentials"))?;
        // One more login is nobody's harm.
        let call = Call::post(path)
            .json(json!({"expiration_minutes": LIFETIME_MINUTES, "permissions": permissions}))
            .repeatable();
        let given = self.cloud.api.result(config, "get a login for the registry", call).await?;
        match (given["username"].as_str(), given["password"].as_str()) {
            (Some(username), Some(password)) => {
                Ok(Login::Password { username: username.to_owned(), password: password.to_owned() })
            }
            _ => {
                let message = "Cloudflare's answer has no login for its registry";
                Err(ProviderError::new(ErrorCode::ProviderUnreadable, message))
            }
        }
    }
}

/// What `name` is called in the registry.
fn reference(config: &CloudflareConfig, name: &str) -> Result<String> {
    let refuse = |message: String, action: String| {
        Err(ProviderError::new(ErrorCode::BadRequest, message).with_action(action))
    };
    let (repository, tag) = tagged(name)?;
    let own = format!("{}/{}", config.registry(), config.account()?);
    if tag == "latest" {
        let message = format!("Cloudflare takes no image with the tag latest: {name}");
        return refuse(message, "Give it a tag that says which one it is, such as a version.".to_owned());
    }
    match registry(name) {
        None => Ok(format!("{own}/{name}")),
        Some(_) if repository.strip_prefix(&own).is_some_and(|rest| rest.starts_with('/')) => {
            Ok(name.to_owned())
        }
        Some(_) => refuse(
            format!("Pilot pushes to {own} for Cloudflare, and {name} is elsewhere"),
            format!("Give it a name without a registry: `--name {}`.", without_registry(name)),
        ),
    }
}
