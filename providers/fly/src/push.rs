//! Images in Fly's own registry.
//!
//! Its repositories are the organisation's apps, `registry.fly.io/APP:TAG`, without anything below them, and every machine of the
//! organisation can be made from them. So all images are tags of one app, which the operator has made: it is in `imageApp`, or it is the
//! one that `image` names. Pilot makes no app for it: an app that no stack knows would be nobody's.

use std::path::Path;

use async_trait::async_trait;
use contracts::ErrorCode;
use contracts::workspace::Image;
use provider_api::{ImageStore, Login, ProviderError, Result, Settings, Told};
use provider_http::registry::Registry;
use provider_kit::archive::Archive;
use provider_kit::image::{flat, is_here, registry, repository, tagged, without_registry};

use crate::lifecycle::FlyLifecycle;

/// The registry takes every name; the password says who it is.
const USER: &str = "x";
/// A macaroon's scheme in headers, which is no part of the token.
const SCHEME: &str = "FlyV1 ";
const ARCHITECTURE: &str = "amd64";

#[async_trait]
impl ImageStore for FlyLifecycle {
    async fn push(&self, name: &str, archive: &Path, told: &Told) -> Result<Image> {
        let settings = &self.fly.settings;
        let reference = reference(settings, name)?;
        let token = settings.require("apiToken")?;
        let password = token.strip_prefix(SCHEME).unwrap_or(token).to_owned();
        let found = Archive::open(archive.to_owned()).await?;
        if let Some(other) = found.architecture.filter(|name| name != ARCHITECTURE) {
            let message = format!("the image is for {other}, and Fly's machines are {ARCHITECTURE}");
            return Err(ProviderError::new(ErrorCode::ImageUnusable, message)
                .with_action("Build it for amd64 (`docker build --platform linux/amd64`)."));
        }
        let login = Login::Password { username: USER.to_owned(), password };
        let registry = Registry::of(&reference, Some(&login))?;
        registry.push(&reference, archive, told).await.map_err(|error| match error.code {
            ErrorCode::CredentialsRejected => error.with_action(format!(
                "The app {} has to be one of the organisation's (`fly apps create`), and the token may change it.",
                app_of(&reference).unwrap_or_default()
            )),
            _ => error,
        })
    }
}

/// What `name` is called in the registry.
fn reference(settings: &Settings, name: &str) -> Result<String> {
    tagged(name)?;
    let host = settings.require("registry")?;
    match registry(name) {
        Some(given) if given == host => match app_of(name) {
            Some(_) => Ok(name.to_owned()),
            None => Err(ProviderError::new(
                ErrorCode::BadRequest,
                format!("{host} has nothing below its apps: {name}"),
            )
            .with_action(format!("Name it {host}/APP:TAG."))),
        },
        Some(other) => {
            let message = format!("Pilot pushes to {host} for Fly, and {name} is at {other}");
            let path = without_registry(name);
            let action = match is_here(other) {
                true => format!("Give it a name without a registry: `--name {path}`."),
                false => format!(
                    "Push it to {other} with the tools for that, Fly pulls it from there if everybody may; or give it a name without a registry: `--name {path}`."
                ),
            };
            Err(ProviderError::new(ErrorCode::BadRequest, message).with_action(action))
        }
        None => Ok(format!("{host}/{}:{}", image_app(settings, host)?, flat(name)?)),
    }
}

/// Whose tags the images are.
fn image_app<'a>(settings: &'a Settings, host: &str) -> Result<&'a str> {
    let usual = settings.get("image").filter(|image| registry(image) == Some(host)).and_then(app_of);
    match settings.get("imageApp").or(usual) {
        Some(app) if !app.contains(['/', ':', '@']) => Ok(app),
        Some(app) => Err(settings.unusable("imageApp", &format!("{app:?} is no name of an app"))),
        None => Err(ProviderError::new(
            ErrorCode::ProviderNotConfigured,
            format!("nobody has said in which app's repository of {host} images are kept"),
        )
        .with_action("Make an app for them (`fly apps create NAME`), and name it in PILOT_FLY_IMAGE_APP.")),
    }
}

/// The app of a reference in the registry, which has nothing below it.
fn app_of(reference: &str) -> Option<&str> {
    let (_, app) = repository(reference).split_once('/')?;
    (!app.contains('/')).then_some(app)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &'static [(&'static str, &'static str)]) -> Settings {
        let var = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::read(&crate::declare::NAME, &crate::SETTINGS, var).unwrap()
    }

    #[test]
    fn images_are_tags_of_the_app_that_is_set_or_that_the_usual_image_names() {
        let usual = settings(&[("PILOT_FLY_IMAGE", "registry.fly.io/acme-images:1")]);
        assert_eq!(reference(&usual, "team/app:2").unwrap(), "registry.fly.io/acme-images:team-app-2");
        assert_eq!(reference(&usual, "team-app:2").unwrap(), "registry.fly.io/acme-images:team--app-2");
        assert_eq!(reference(&usual, "registry.fly.io/other:3").unwrap(), "registry.fly.io/other:3");
        let set = settings(&[("PILOT_FLY_IMAGE", "registry.fly.io/a:1"), ("PILOT_FLY_IMAGE_APP", "b")]);
        assert_eq!(reference(&set, "app:2").unwrap(), "registry.fly.io/b:app-2");
    }

    #[test]
    fn what_has_no_place_in_the_registry_is_refused_before_anybody_is_asked() {
        let elsewhere = settings(&[("PILOT_FLY_IMAGE", "ghcr.io/acme/images:1")]);
        let error = reference(&elsewhere, "app:2").unwrap_err();
        assert_eq!(error.code, ErrorCode::ProviderNotConfigured);
        assert!(error.action.unwrap().contains("PILOT_FLY_IMAGE_APP"));
        for name in ["registry.fly.io/a/b:1", "ghcr.io/acme/app:1", "app"] {
            let error = reference(&elsewhere, name).unwrap_err();
            assert!(error.code == ErrorCode::BadRequest && error.action.is_some(), "{error}");
        }
        // As `podman` calls what has no registry.
        let action = reference(&elsewhere, "localhost/team/app:1").unwrap_err().action.unwrap();
        assert!(action.contains("`--name team/app:1`") && !action.contains("Push it"), "{action}");
        let wrong = settings(&[("PILOT_FLY_IMAGE_APP", "a/b")]);
        assert_eq!(reference(&wrong, "app:2").unwrap_err().code, ErrorCode::ProviderNotConfigured);
    }
}
