//! How a keeper gets the lists of destinations, and says that one is in force: a volume of its own, which Docker's API writes and
//! reads, so that no command runs in the keeper. It outlives the keeper, and goes with the installation's last network.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::models::{Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, RemoveVolumeOptions, UploadToContainerOptionsBuilder,
};
use bytes::{Bytes, BytesMut};
use contracts::egress::EgressAllow;
use contracts::{ErrorCode, InstallationId};
use futures_util::TryStreamExt as _;
use provider_api::{ProviderError, Result, RuntimeRef};

use super::keeper::{Keeper, OWNER};
use super::{list, rules};
use crate::engine::Engine;
use crate::failure::{Answer, Failure};

/// Where the keeper has them.
pub(super) const LISTS: &str = "/lists";
/// The file by which the keeper sees at once that there is another list. No signal: after one that Docker has sent it starts the
/// keeper by itself no more.
const BELL: &str = "bell";
/// Of many that start at once, each waits for the ones before.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Another program may have asked for the same list meanwhile, so it is asked for again.
const REPEATED: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

fn volume(installation: &InstallationId) -> String {
    format!("pilot-egress-{installation}")
}

pub(super) fn mount(installation: &InstallationId) -> Mount {
    let labels = HashMap::from([(OWNER.to_owned(), installation.to_string())]);
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume(installation)),
        target: Some(LISTS.to_owned()),
        volume_options: Some(MountVolumeOptions { labels: Some(labels), ..Default::default() }),
        ..Default::default()
    }
}

/// Removes the volume, unless somebody else is faster or has begun a keeper on it again.
pub(super) async fn remove(engine: &Engine, installation: &InstallationId) -> Result<()> {
    let docker = engine.docker().await?;
    let name = volume(installation);
    let remove = docker.remove_volume(&name, None::<RemoveVolumeOptions>);
    match engine.ask("remove the lists of destinations", remove).await {
        Ok(()) | Err(Failure::Absent(_) | Failure::Conflict(_)) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

/// When this returns, what the list does not name is refused, and its names are answered. The keeper is there: see
/// [`close`](super::close).
pub(crate) async fn enforce(engine: &Engine, runtime: &RuntimeRef, allow: &EgressAllow) -> Result<()> {
    let keeper = Keeper { engine, installation: &runtime.installation };
    let bridge = rules::bridge(&runtime.installation, &runtime.runtime_id, true);
    let question = question();
    let file = list::file(&runtime.installation, &runtime.runtime_id, allow, &question);
    let deadline = Instant::now() + TIMEOUT;
    let mut asked: Option<Instant> = None;
    let mut said = String::new();
    while Instant::now() < deadline {
        if asked.is_none_or(|asked| asked.elapsed() > REPEATED) {
            put(engine, &keeper.name(), &format!("{bridge}.list"), &file)
                .await
                .map_err(ProviderError::from)?;
            asked = Some(Instant::now());
        }
        let answer = answer(engine, &keeper.name(), &format!("{bridge}.done")).await?.unwrap_or_default();
        match answer.strip_prefix(&question) {
            Some("") => return Ok(()),
            Some(failure) => failure.trim().clone_into(&mut said),
            None => {}
        }
        // What fails is tried again, and may have been about to be there.
        if !said.is_empty() && asked.is_some_and(|asked| asked.elapsed() > REPEATED / 2) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let message = format!(
        "the list of destinations cannot be put in force on the Docker host {}: {}",
        engine.host.name,
        if said.is_empty() { "its keeper did not answer in time" } else { &said }
    );
    Err(ProviderError::new(ErrorCode::EgressOpen, message).with_action(format!(
        "Of a workspace that runs, the list of before stays in force; one that does not run is not started. `pilot ws update NAME \
         --egress-allow LIST` tries another list. What PILOT_DOCKER_EGRESS_IMAGE names needs `sh`, `nft` and `dnsmasq`; the image of \
         instances has them. `docker logs {}` says more.",
        keeper.name()
    )))
}

/// Tells the keeper which list is wished, and does not wait for it.
pub(crate) async fn ask_for(engine: &Engine, runtime: &RuntimeRef, allow: &EgressAllow) -> Result<()> {
    let keeper = Keeper { engine, installation: &runtime.installation };
    let bridge = rules::bridge(&runtime.installation, &runtime.runtime_id, true);
    let file = list::file(&runtime.installation, &runtime.runtime_id, allow, &question());
    Ok(put(engine, &keeper.name(), &format!("{bridge}.list"), &file).await?)
}

/// Nobody has asked with these words before, so the answer is of now.
pub(super) fn question() -> String {
    format!("{}-{}", jiff::Timestamp::now().as_nanosecond(), std::process::id())
}

/// The runtime has no list any more. Where there is no keeper, there is none to take away.
pub(crate) async fn lift(engine: &Engine, runtime: &RuntimeRef) -> Result<()> {
    let keeper = Keeper { engine, installation: &runtime.installation };
    let bridge = rules::bridge(&runtime.installation, &runtime.runtime_id, true);
    match put(engine, &keeper.name(), &format!("{bridge}.list"), list::GONE).await {
        Ok(()) | Err(Failure::Absent(_) | Failure::Conflict(_)) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

/// A file for the keeper, which looks at once.
pub(super) async fn put(engine: &Engine, keeper: &str, name: &str, file: &str) -> Answer<()> {
    let docker = engine.docker().await.map_err(Failure::Other)?;
    let options = UploadToContainerOptionsBuilder::default().path(LISTS).build();
    let body = archive(&[(name, file), (BELL, "")]).map_err(Failure::Other)?;
    let upload = docker.upload_to_container(keeper, Some(options), bollard::body_full(body));
    engine.ask("deliver the list of destinations", upload).await
}

/// A file of the keeper, where there is one.
pub(super) async fn answer(engine: &Engine, keeper: &str, name: &str) -> Result<Option<String>> {
    let docker = engine.docker().await?;
    let options = DownloadFromContainerOptionsBuilder::default().path(&format!("{LISTS}/{name}")).build();
    let read = docker.download_from_container(keeper, Some(options)).try_collect::<BytesMut>();
    let Some(bytes) = Failure::optional(engine.look("read what the keeper says", read).await)? else {
        return Ok(None);
    };
    Ok(content(&bytes))
}

fn archive(files: &[(&str, &str)]) -> Result<Bytes> {
    let mut builder = tar::Builder::new(Vec::new());
    let unusable = |error: std::io::Error| {
        ProviderError::new(ErrorCode::Internal, format!("cannot build the archive of a list: {error}"))
    };
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o600);
        header.set_size(text.len() as u64);
        builder.append_data(&mut header, name, text.as_bytes()).map_err(unusable)?;
    }
    Ok(builder.into_inner().map_err(unusable)?.into())
}

fn content(archive: &[u8]) -> Option<String> {
    let mut archive = tar::Archive::new(archive);
    let entry = archive.entries().ok()?.next()?.ok()?;
    let text = std::io::read_to_string(entry).ok()?;
    Some(text.trim_end().to_owned())
}
