//! Images that Pilot brings to the hosts: the archive is loaded into each, and each gives it the same name.
//!
//! The engine's own load does it, from the file as it is. A load also moves the names that an archive has in it, so one with others than
//! the wanted name is refused: what new workspaces are made from must not change by the way. A host that has the image is sent
//! nothing; hosts that cannot run it get none of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use bollard::query_parameters::{ImportImageOptionsBuilder, TagImageOptionsBuilder};
use contracts::ErrorCode;
use contracts::workspace::Image;
use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use provider_api::{Copied, ImageStore, ProviderError, Result, Told};
use provider_kit::archive::{Archive, unusable};
use provider_kit::image::tagged;
use tokio_util::io::ReaderStream;

use crate::engine::{Engine, within};
use crate::images::DockerImages;
use crate::pull::{self, Seen};

/// Of the file, for each step of the stream.
const CHUNK: usize = 1 << 18;
/// What an engine says when it has loaded an image, with and without a name.
const LOADED: [&str; 2] = ["Loaded image ID: ", "Loaded image: "];
/// What engines say of a layer that has not its digest: those with a store of their own, and those with containerd's.
const DAMAGED: [&str; 2] = ["invalid diffID", "unexpected commit digest"];

#[async_trait]
impl ImageStore for DockerImages {
    async fn push(&self, name: &str, archive: &Path, told: &Told) -> Result<Image> {
        tagged(name)?;
        let archive = Archive::open(archive.to_owned()).await?;
        moves_nothing_else(&archive, name)?;
        let engines = self.hosts.all()?;
        let able = able(engines, &archive, name).await?;
        let progress = Progress::new(archive.size, able.len(), told);
        let loads = join_all(able.iter().map(|engine| engine.load(&archive, name, &progress))).await;
        loads.into_iter().collect::<Result<()>>()?;
        pull::resolve(engines, name).await
    }
}

/// The hosts that can run it; `image_unusable` when there is none.
async fn able<'a>(engines: &'a [Arc<Engine>], archive: &Archive, name: &str) -> Result<Vec<&'a Arc<Engine>>> {
    let architectures: Vec<String> = archive.architecture.iter().cloned().collect();
    let seen = Seen { exact: name.to_owned(), architectures };
    let asked = join_all(engines.iter().map(|engine| engine.must_run(name, &seen))).await;
    let (mut able, mut refused) = (Vec::new(), None);
    for (engine, asked) in engines.iter().zip(asked) {
        match asked {
            Ok(()) => able.push(engine),
            Err(error) if error.code == ErrorCode::ImageUnusable => refused = refused.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    match refused {
        Some(error) if able.is_empty() => Err(error),
        _ => Ok(able),
    }
}

fn moves_nothing_else(archive: &Archive, name: &str) -> Result<()> {
    let Some(other) = archive.names.iter().find(|other| familiar(other) != familiar(name)) else {
        return Ok(());
    };
    let message = format!(
        "the archive has the name {other} in it, which a load would move on each host, and is to be {name}"
    );
    // With several names in it there is no one that all of them are.
    let or = match archive.names.len() {
        1 => format!("push it as {other}"),
        _ => format!("let `pilot image push {other} --name {name}` save it so"),
    };
    Err(ProviderError::new(ErrorCode::BadRequest, message).with_action(format!(
        "Save the image by its id, so that the archive has no name (`docker save -o FILE $(docker inspect -f '{{{{.Id}}}}' {other})`), or {or}."
    )))
}

/// Engines leave out what is Docker Hub's.
fn familiar(name: &str) -> &str {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    name.strip_prefix("library/").unwrap_or(name)
}

/// What all hosts were sent together.
struct Progress {
    sent: Arc<AtomicU64>,
    size: u64,
    total: u64,
    told: Told,
}

impl Progress {
    fn new(size: u64, hosts: usize, told: &Told) -> Self {
        Self { sent: Arc::default(), size, total: size * hosts as u64, told: told.clone() }
    }

    fn adds(&self) -> impl Fn(u64) + Send + Sync + use<> {
        let (sent, total, told) = (self.sent.clone(), self.total, self.told.clone());
        move |bytes| {
            let done = sent.fetch_add(bytes, Ordering::Relaxed) + bytes;
            told.tell(Copied { done: done.min(total), total });
        }
    }
}

impl Engine {
    async fn load(&self, archive: &Archive, name: &str, progress: &Progress) -> Result<()> {
        // What an engine with a store of its own calls it. Others have another id for it, and are sent it.
        let hash: String =
            digest(&SHA256, &archive.config).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let known = self.image(&format!("sha256:{hash}")).await?.and_then(|found| found.id);
        let id = match known {
            Some(id) => {
                progress.adds()(progress.size);
                id
            }
            None => self.send(archive, progress).await?,
        };
        let (repository, tag) = tagged(name)?;
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        let docker = self.docker().await?;
        self.ask("name the image", docker.tag_image(&id, Some(options))).await?;
        tracing::info!(host = self.host.name, image = name, id, "the image is there");
        Ok(())
    }

    /// Gives the id that the host has for it.
    async fn send(&self, archive: &Archive, progress: &Progress) -> Result<String> {
        let file = tokio::fs::File::open(archive.path()).await;
        let file = file.map_err(|error| unusable(&error))?;
        let adds = progress.adds();
        let content =
            ReaderStream::with_capacity(file, CHUNK).inspect_ok(move |chunk| adds(chunk.len() as u64));
        let docker = self.docker().await?.clone().with_timeout(self.timing.pull);
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let loaded = docker.import_image_stream(options, content, None);
        let words = loaded.map_ok(|step| step.stream.unwrap_or_default()).try_collect::<String>();
        let words = match within(self.timing.pull, "load the image", words).await {
            Ok(words) => words,
            Err(failure) => return Err(self.name(refused(archive, failure.into()))),
        };
        let Some(loaded) = loaded_of(&words) else {
            let message = format!("the engine did not say what it has loaded: {}", words.trim());
            return Err(self.name(ProviderError::new(ErrorCode::ProviderUnreadable, message)));
        };
        let found = self.image(loaded).await?.and_then(|found| found.id);
        found.ok_or_else(|| self.no_image(loaded))
    }
}

/// The last that it has told: an archive has one image, and may have it under a name and its id.
fn loaded_of(words: &str) -> Option<&str> {
    words.lines().rev().find_map(|line| LOADED.iter().find_map(|begin| line.trim().strip_prefix(begin)))
}

/// What the engine refuses is no word of ours: only it knows which forms it reads.
fn refused(archive: &Archive, error: ProviderError) -> ProviderError {
    if error.code == ErrorCode::ProviderFailed && DAMAGED.iter().any(|words| error.message.contains(words)) {
        let message = format!("the image's archive is not what it says of itself: {}", error.message);
        return ProviderError { code: ErrorCode::BadRequest, message, ..error }
            .with_action("Save the image again: `docker save -o FILE IMAGE`.");
    }
    if error.code != ErrorCode::ProviderFailed || archive.is_saved {
        return error;
    }
    let message = format!("{}; the archive is an OCI layout, which not every engine loads", error.message);
    ProviderError { code: ErrorCode::BadRequest, message, ..error }
        .with_action("Push what `docker save` writes of it.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_has_loaded_is_read_from_its_last_words() {
        assert_eq!(loaded_of("Loaded image: team/app:2\n"), Some("team/app:2"));
        let both = "Loaded image: a:1\nLoaded image ID: sha256:12\n";
        assert_eq!(loaded_of(both), Some("sha256:12"));
        assert_eq!(loaded_of("ok"), None);
    }

    #[test]
    fn a_name_of_docker_hub_is_the_same_with_and_without_it() {
        for name in ["docker.io/library/app:1", "library/app:1", "docker.io/app:1", "app:1"] {
            assert_eq!(familiar(name), "app:1");
        }
        assert_ne!(familiar("ghcr.io/app:1"), familiar("app:1"));
    }
}
