//! The workspaces of the installation that a service is: they would be orphans without it.

use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, ListContainersOptionsBuilder};
use contracts::{ErrorCode, InstallationId};
use futures_util::TryStreamExt;
use provider_api::{ProviderError, Result};

use crate::engine::Engine;
use crate::failure::Failure;
use crate::names;

/// Passes when no container of the installation is there, or none has begun in this service.
pub(super) async fn must_be_gone(engine: &Engine, service: (&str, &str), file: &str) -> Result<()> {
    let (name, id) = service;
    let Some(installation) = installation(engine, id, file).await? else { return Ok(()) };
    let docker = engine.docker().await?;
    let filters = names::owned_by(&installation);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let containers = engine.ask("list containers", docker.list_containers(Some(options))).await?;
    let count = containers.len();
    if count == 0 {
        return Ok(());
    }
    let shown: Vec<String> = containers
        .into_iter()
        .filter_map(|found| Some(found.names?.first()?.trim_start_matches('/').to_owned()))
        .take(5)
        .collect();
    let message = format!(
        "the service {name} was left alone: its installation {installation} still has {count} workspace \
         containers on this Docker host ({}), which nobody would look after",
        shown.join(", ")
    );
    Err(ProviderError::new(ErrorCode::ProviderFailed, message).with_action(format!(
        "Delete its workspaces first: `docker exec {name} pilot ws ls`, then `pilot ws rm` for each; or remove \
         these containers."
    )))
}

/// Docker reads files of stopped containers too, those in volumes among them.
async fn installation(engine: &Engine, id: &str, file: &str) -> Result<Option<InstallationId>> {
    let docker = engine.docker().await?;
    let options = DownloadFromContainerOptionsBuilder::default().path(file).build();
    let archive = docker.download_from_container(id, Some(options));
    let archive = archive.try_fold(Vec::new(), |mut archive, chunk| async move {
        archive.extend_from_slice(&chunk);
        Ok(archive)
    });
    let Some(archive) = Failure::optional(engine.ask("read the installation's id", archive).await)? else {
        return Ok(None);
    };
    let text = unpack(&archive);
    let id = text.as_deref().and_then(|text| text.trim().parse().ok());
    match id {
        Some(id) => Ok(Some(id)),
        None => Err(ProviderError::new(
            ErrorCode::ProviderFailed,
            format!("{file} in the service's container holds no id of an installation"),
        )
        .with_action("Correct `installationFile` with an update first.")),
    }
}

fn unpack(archive: &[u8]) -> Option<String> {
    let mut archive = tar::Archive::new(archive);
    let entry = archive.entries().ok()?.next()?.ok()?;
    std::io::read_to_string(entry).ok()
}
