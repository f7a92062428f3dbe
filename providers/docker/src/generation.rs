//! The newest generation that a runtime's objects have seen, so that an older program leaves them alone.
//!
//! Docker writes labels once, so what an update in place raises is kept as a file in the container's own
//! file system: outside the home, and root's, so the instance cannot change it. It goes with the container,
//! whose next label is at least as new.

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use contracts::ErrorCode;
use futures_util::TryStreamExt;
use provider_api::{Late, ProviderError, Result, RuntimeRef};

use crate::engine::Engine;
use crate::failure::Failure;
use crate::{container, names};

const FOLDER: &str = "/etc";
const FILE: &str = "pilot-generation";

/// Passes unless the object itself, made at `own`, or the runtime's container has seen a newer one.
pub(crate) async fn must_be_newest(
    engine: &Engine,
    object: (&str, &str),
    own: u64,
    (runtime, ours): (&RuntimeRef, u64),
) -> Result<()> {
    match own.max(newest(engine, runtime).await?) {
        theirs if theirs > ours => Err(ProviderError::fenced(Late::Generation, object, ours, theirs)),
        _ => Ok(()),
    }
}

/// What the runtime's container has seen; 0 when there is none of ours.
pub(crate) async fn newest(engine: &Engine, runtime: &RuntimeRef) -> Result<u64> {
    let name = names::name(&runtime.runtime_id);
    match container::inspect(engine, &name).await? {
        Some(found) if container::owner(&found).is_some_and(|owner| owner.is(runtime)) => {
            of(engine, &found).await
        }
        _ => Ok(0),
    }
}

/// What this container has seen.
pub(crate) async fn of(engine: &Engine, found: &ContainerInspectResponse) -> Result<u64> {
    let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
    let made = labels.map(names::generation).unwrap_or_default();
    let docker = engine.docker().await?;
    let options = DownloadFromContainerOptionsBuilder::default().path(&format!("{FOLDER}/{FILE}")).build();
    let id = found.id.as_deref().unwrap_or_default();
    let archive = docker.download_from_container(id, Some(options)).try_fold(Vec::new(), keep);
    let archive = Failure::optional(engine.ask("read the container's generation", archive).await)?;
    Ok(archive.and_then(|archive| unpack(&archive)).unwrap_or_default().max(made))
}

/// Keeps that the container has seen this one.
pub(crate) async fn record(engine: &Engine, id: &str, generation: u64) -> Result<()> {
    let docker = engine.docker().await?;
    let options = UploadToContainerOptionsBuilder::default().path(FOLDER).build();
    let archive = pack(generation).map_err(|error| {
        ProviderError::new(ErrorCode::Internal, format!("cannot pack the generation: {error}"))
    })?;
    let upload = docker.upload_to_container(id, Some(options), bollard::body_full(archive.into()));
    Ok(engine.ask("keep the container's generation", upload).await?)
}

async fn keep(
    mut archive: Vec<u8>,
    chunk: bytes::Bytes,
) -> std::result::Result<Vec<u8>, bollard::errors::Error> {
    archive.extend_from_slice(&chunk);
    Ok(archive)
}

fn pack(generation: u64) -> std::io::Result<Vec<u8>> {
    let text = generation.to_string();
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o444);
    header.set_size(text.len() as u64);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, FILE, text.as_bytes())?;
    builder.into_inner()
}

fn unpack(archive: &[u8]) -> Option<u64> {
    let mut archive = tar::Archive::new(archive);
    let entry = archive.entries().ok()?.next()?.ok()?;
    std::io::read_to_string(entry).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_generation_is_read_again_and_anything_else_is_none() {
        assert_eq!(unpack(&pack(17).unwrap()), Some(17));
        assert_eq!(unpack(b"not an archive"), None);
    }
}
