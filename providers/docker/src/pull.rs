//! Images that a host does not have yet, and what they are for.
//!
//! Only a reference that names its registry is pulled: `app:1` may be the name of what was built on a host, and somebody else's on
//! Docker Hub. What is there is never pulled. The engine does the pulling, so its own settings of registries count; the login is the
//! operator's, and goes to the engine with each call.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::CreateImageOptionsBuilder;
use contracts::ErrorCode;
use contracts::workspace::Image;
use futures_util::TryStreamExt as _;
use provider_api::{Login, ProviderError, Result};
use provider_kit::image::{architecture, made_for, registry, repository};

use crate::engine::{Engine, within};
use crate::failure::{Failure, Pulled, image_unusable, pull_failed, silent};

/// The longest that a registry is waited for by who names an image. What is pulled later has its own time.
const LOOK: Duration = Duration::from_secs(20);

/// An image on a host, or in its registry.
pub(crate) struct Seen {
    /// What is given to an engine, so that it is the same on each.
    pub exact: String,
    /// Those that it is there for, as [`made_for`] says them.
    pub architectures: Vec<String>,
}

impl Engine {
    /// What this host calls its processors, in OCI's words.
    pub async fn architecture(&self) -> Result<&str> {
        let ask = || async {
            let info = self.look("ask what the host is", self.docker().await?.info()).await?;
            Ok::<_, ProviderError>(architecture(&info.architecture.unwrap_or_default()).to_owned())
        };
        self.built_for.get_or_try_init(ask).await.map(String::as_str)
    }

    /// The image of this name on this host.
    pub async fn local(&self, reference: &str) -> Result<Option<Seen>> {
        let Some(found) = self.image(reference).await? else { return Ok(None) };
        let digests = found.repo_digests.unwrap_or_default();
        let of_name = digests.into_iter().find(|digest| repository(digest) == repository(reference));
        // By this every host can pull it; an id is known where it is alone.
        let pulled = of_name.filter(|_| registry(reference).is_some());
        let exact = if reference.contains('@') { Some(reference.to_owned()) } else { pulled };
        let architectures =
            made_for(found.os.as_deref(), found.architecture.as_deref()).into_iter().collect();
        let Some(exact) = exact.or(found.id) else { return Ok(None) };
        Ok(Some(Seen { exact, architectures }))
    }

    /// The image of this name in its registry, without bringing it here.
    pub async fn remote(&self, reference: &str) -> Result<Seen> {
        let Some(host) = registry(reference) else { return Err(self.no_image(reference)) };
        let credentials = self.credentials(host, reference).await?;
        let has_login = credentials.is_some();
        let docker = self.docker().await?;
        let asked = docker.inspect_registry_image(reference, credentials);
        let asked = within(self.timing.call, "ask the registry for the image", asked);
        let found = match tokio::time::timeout(LOOK, asked).await {
            Ok(Ok(found)) => found,
            Ok(Err(failure)) => return Err(self.cannot_pull(reference, has_login, failure)),
            Err(_) => return Err(self.name(silent(reference, host))),
        };
        let digest = found.descriptor.digest.unwrap_or_default();
        let platforms = found.platforms.iter();
        let architectures =
            platforms.filter_map(|one| made_for(one.os.as_deref(), one.architecture.as_deref()));
        Ok(Seen {
            exact: format!("{}@{digest}", repository(reference)),
            architectures: architectures.collect(),
        })
    }

    /// Makes sure that the image is here and fit for this host, and pulls it when it is not here.
    pub async fn bring(&self, image: &str) -> Result<()> {
        let found = match self.local(image).await? {
            Some(found) => found,
            None => {
                self.pull(image).await?;
                self.local(image).await?.ok_or_else(|| self.no_image(image))?
            }
        };
        self.must_run(image, &found).await
    }

    /// Passes when this host can run it. Where nobody knows what it is for, its start will tell.
    pub async fn must_run(&self, image: &str, found: &Seen) -> Result<()> {
        let ours = self.architecture().await?;
        let theirs = &found.architectures;
        if theirs.is_empty() || ours.is_empty() || theirs.iter().any(|name| name == ours) {
            return Ok(());
        }
        Err(self.name(image_unusable(image, &theirs.join(", "), ours)))
    }

    async fn pull(&self, image: &str) -> Result<()> {
        let Some(host) = registry(image) else { return Err(self.no_image(image)) };
        let credentials = self.credentials(host, image).await?;
        let has_login = credentials.is_some();
        let options = match image.contains('@') {
            true => CreateImageOptionsBuilder::default().from_image(image).build(),
            // Without a tag Docker would bring all there are.
            false => {
                let name = repository(image);
                let tag = image[name.len()..].trim_start_matches(':');
                let tag = if tag.is_empty() { "latest" } else { tag };
                CreateImageOptionsBuilder::default().from_image(name).tag(tag).build()
            }
        };
        tracing::info!(host = self.host.name, image, "the image is not there and is pulled");
        let docker = self.docker().await?.clone().with_timeout(self.timing.pull);
        let told = docker.create_image(Some(options), None, credentials).try_for_each(|step| async move {
            let progress = step.progress_detail.unwrap_or_default();
            tracing::debug!(image, layer = step.id, status = step.status, done = progress.current, "pull");
            Ok(())
        });
        match within(self.timing.pull, "pull the image", told).await {
            Ok(()) => {
                tracing::info!(host = self.host.name, image, "the image is pulled");
                Ok(())
            }
            Err(failure) => Err(self.cannot_pull(image, has_login, failure)),
        }
    }

    fn cannot_pull(&self, image: &str, has_login: bool, failure: Failure) -> ProviderError {
        self.name(pull_failed(Pulled { image, has_login }, failure.into()))
    }

    async fn credentials(&self, registry: &str, image: &str) -> Result<Option<DockerCredentials>> {
        let Some(login) = self.logins.login(repository(image)).await? else { return Ok(None) };
        let to = Some(registry.to_owned());
        let credentials = match login {
            Login::Password { username, password } => DockerCredentials {
                username: Some(username),
                password: Some(password),
                serveraddress: to,
                ..Default::default()
            },
            Login::IdentityToken(token) => {
                DockerCredentials { identitytoken: Some(token), serveraddress: to, ..Default::default() }
            }
        };
        if !arrives(&credentials) {
            let message = format!(
                "the login for {registry} has a character that does not reach the Docker engine: one of > ? ~, or none of ASCII"
            );
            return Err(ProviderError::new(ErrorCode::ProviderNotConfigured, message)
                .with_action("Use an access token of the registry in place of the password."));
        }
        Ok(Some(credentials))
    }
}

/// What a reference means on these hosts, which are not all the same.
pub(crate) async fn resolve(engines: &[std::sync::Arc<Engine>], reference: &str) -> Result<Image> {
    let mut seen = Vec::new();
    for (engine, found) in engines
        .iter()
        .zip(futures_util::future::join_all(engines.iter().map(|engine| engine.local(reference))).await)
    {
        seen.extend(found?.map(|found| (engine, found)));
    }
    let Some(first) = engines.first() else { return Ok(Image::named(reference)) };
    if seen.is_empty() {
        let remote = first.remote(reference).await?;
        seen.push((first, remote));
        // One host that can run it is enough: the others have none of it.
        for engine in &engines[1..] {
            let known = &seen[0].1;
            let same = Seen { exact: known.exact.clone(), architectures: known.architectures.clone() };
            seen.push((engine, same));
        }
    }
    let mut refused = None;
    // One of those that are known, or `None` where nobody knows before it is pulled.
    let mut fits = std::collections::BTreeSet::new();
    for (engine, found) in &seen {
        match engine.must_run(reference, found).await {
            Ok(()) => {
                let ours = engine.architecture().await?;
                fits.insert(found.architectures.iter().find(|name| *name == ours).cloned());
            }
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match refused {
        Some(error) if fits.is_empty() => return Err(error),
        _ => {}
    }
    let exact = &seen[0].1.exact;
    let same = seen.iter().all(|(_, found)| found.exact == *exact);
    Ok(Image {
        digest: same.then(|| exact.clone()),
        architecture: fits.into_iter().flatten().next(),
        ..Image::named(reference)
    })
}

/// An engine reads the header in base64's alphabet for addresses and takes what it cannot read for no login, without a word; the
/// client writes it in the other alphabet.
fn arrives(credentials: &DockerCredentials) -> bool {
    serde_json::to_string(credentials).is_ok_and(|text| !STANDARD.encode(text).contains(['+', '/']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_that_the_engine_would_not_read_is_told_from_one_that_it_reads() {
        let sent = |password: &str| {
            let credentials = DockerCredentials {
                username: Some("ada".to_owned()),
                password: Some(password.to_owned()),
                ..Default::default()
            };
            arrives(&credentials)
        };
        assert!(sent("correct horse") && sent("ghp_0123456789abcdef"));
        let shifted = ["~", "a~", "ab~"].map(sent);
        assert_eq!(
            shifted.iter().filter(|arrives| !**arrives).count(),
            1,
            "only where three bytes end: {shifted:?}"
        );
    }
}
