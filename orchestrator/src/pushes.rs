//! Images on their way to a provider: an archive is taken whole into the data folder, given to the provider's module, and removed.
//!
//! It is a file for a moment because modules read an archive more than once, and several hosts get it. A push is no operation: it changes no
//! workspace and no stack, who repeats it does no harm, and nobody else waits for it. So it lives as long as its caller does, and what
//! a dead server leaves is removed by the next start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use contracts::image::Pushed;
use contracts::{ErrorCode, Problem};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use provider_api::{ImageStore, Provider, Told};
use provider_kit::archive::Archive;
use provider_kit::image::tagged;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::data::{DISK, Layout, full, unusable};
use crate::engine::provider_problem;
use crate::wiring::Providers;

/// A body that says nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(60);
/// The longest that a provider may take, once the archive is here.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// In a folder of its own, where modules may have others beside it.
const ARCHIVE: &str = "image.tar";
/// What has to stay free on the disk that the store is on.
const RESERVE: u64 = 512 << 20;
/// After so many bytes it is looked at again.
const LOOK: u64 = 64 << 20;
/// Who was refused may have more to send before the answer is read.
const LINGER: Duration = Duration::from_secs(10);
/// The setting of modules whose new runtimes are made from it; `docker` has it outside its module.
const SETTING: &str = "image";
const USUAL_VARIABLE: &str = "PILOT_IMAGE";

/// Where archives are while they are pushed.
pub struct Pushes {
    spool: PathBuf,
    /// The largest archive, in bytes.
    limit: u64,
    providers: Providers,
    free: fn(&Path) -> u64,
}

/// An archive that is here. It is removed with this.
pub struct Spooled {
    folder: TempDir,
    size: u64,
}

impl Spooled {
    fn path(&self) -> PathBuf {
        self.folder.path().join(ARCHIVE)
    }
}

/// What is to be pushed where; nothing was taken yet.
pub struct Wanted {
    provider: Arc<dyn Provider>,
    store: Arc<dyn ImageStore>,
    /// The archive's own where there is none.
    name: Option<String>,
}

impl Pushes {
    /// Removes what an earlier process has left.
    pub fn open(layout: &Layout, limit: u64, providers: Providers) -> Result<Self, Problem> {
        let spool = layout.spool();
        match std::fs::remove_dir_all(&spool) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(unusable(&spool, &error));
            }
            _ => {}
        }
        std::fs::create_dir_all(&spool).map_err(|error| unusable(&spool, &error))?;
        Ok(Self { spool, limit, providers, free })
    }

    /// Refuses what no archive can change.
    pub fn wanted(&self, provider: &str, name: Option<&str>) -> Result<Wanted, Problem> {
        let provider = self.providers.get(provider)?.clone();
        let Some(store) = provider.image_store() else {
            let detail = format!("Images cannot be brought to the provider {}.", provider.describe().name);
            return Err(Problem::new(ErrorCode::CapabilityUnsupported, detail)
                .with_action("`pilot provider ls` shows which providers take images."));
        };
        name.map(tagged).transpose().map_err(provider_problem)?;
        Ok(Wanted { provider, store, name: name.map(str::to_owned) })
    }

    /// Takes the archive, of `length` bytes where that was said.
    pub async fn take(&self, length: Option<u64>, body: Body) -> Result<Spooled, Problem> {
        let mut content = body.into_data_stream();
        let taken = self.write(length, &mut content).await;
        if taken.is_err() {
            // A connection that ends with unread bytes can take the answer with it.
            tokio::spawn(tokio::time::timeout(LINGER, async move {
                while let Some(Ok(_)) = content.next().await {}
            }));
        }
        taken
    }

    async fn write(
        &self,
        length: Option<u64>,
        content: &mut axum::body::BodyDataStream,
    ) -> Result<Spooled, Problem> {
        let length = length.unwrap_or_default();
        self.must_fit(length)?;
        // What a module makes of it on the way to a registry is beside it, and at most as large.
        self.must_have_room(length.saturating_mul(2))?;
        let failed = |error: std::io::Error| unusable(&self.spool, &error);
        let folder = tempfile::Builder::new().prefix("push-").tempdir_in(&self.spool).map_err(failed)?;
        let mut file = tokio::fs::File::create(folder.path().join(ARCHIVE)).await.map_err(failed)?;
        let (mut size, mut looked) = (0, 0);
        loop {
            let chunk = tokio::time::timeout(SILENCE, content.next()).await.map_err(|_| silent())?;
            let Some(chunk) = chunk else { break };
            let chunk = chunk.map_err(|error| {
                Problem::new(ErrorCode::BadRequest, format!("The archive did not arrive whole: {error}."))
            })?;
            size += chunk.len() as u64;
            self.must_fit(size)?;
            if size - looked > LOOK {
                looked = size;
                self.must_have_room(0)?;
            }
            file.write_all(&chunk).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        self.must_have_room(size)?;
        Ok(Spooled { folder, size })
    }

    fn must_fit(&self, size: u64) -> Result<(), Problem> {
        if size <= self.limit {
            return Ok(());
        }
        let detail = format!("The archive has more than {} bytes.", self.limit);
        Err(Problem::new(ErrorCode::TooLarge, detail).with_action(
            "Make the image smaller, or start the server with a higher --image-limit (PILOT_IMAGE_LIMIT).",
        ))
    }

    fn must_have_room(&self, wanted: u64) -> Result<(), Problem> {
        let (free, wanted) = ((self.free)(&self.spool), wanted.saturating_add(RESERVE));
        if free >= wanted {
            return Ok(());
        }
        let detail = format!(
            "The data folder has room for {} MiB, and the push of this image needs {} MiB.",
            free >> 20,
            wanted >> 20
        );
        Err(full(&detail, DISK))
    }
}

fn free(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map(|disk| disk.f_bavail * disk.f_frsize).unwrap_or(u64::MAX)
}

fn silent() -> Problem {
    let detail = format!("Nothing more of the archive has arrived for {} s.", SILENCE.as_secs());
    Problem::new(ErrorCode::TimedOut, detail).with_action("Push it again.")
}

impl Wanted {
    /// Gives the archive to the module. What is dropped is given up.
    pub fn push(self, spooled: Spooled, told: Told) -> BoxFuture<'static, Result<Pushed, Problem>> {
        Box::pin(async move {
            let described = self.provider.describe();
            let name = match self.name {
                Some(name) => name,
                None => own_name(spooled.path()).await?,
            };
            let (provider, bytes) = (described.name.clone(), spooled.size);
            tracing::info!(%provider, image = name, bytes, "an image is pushed");
            let pushing = tokio::time::timeout(LONGEST, self.store.push(&name, &spooled.path(), &told)).await;
            let late = || {
                let detail = format!(
                    "The provider {provider} did not take the image within {} minutes.",
                    LONGEST.as_secs() / 60
                );
                Problem::new(ErrorCode::ProviderTimeout, detail)
                    .with_action("Push it again: what is there already is not sent again.")
            };
            let image = pushing.map_err(|_| late())?.map_err(provider_problem)?;
            let setting = described.settings.iter().find(|setting| setting.name == SETTING);
            let setting = setting.map_or(USUAL_VARIABLE.to_owned(), |setting| setting.variable(&provider));
            let exact = image.exact().to_owned();
            tracing::info!(%provider, image = name, exact, "the image is there");
            Ok(Pushed { provider, image, exact, setting })
        })
    }
}

/// The one that is in the archive.
async fn own_name(archive: PathBuf) -> Result<String, Problem> {
    let names = Archive::open(archive).await.map_err(provider_problem)?.names;
    let mut names = names.into_iter();
    match (names.next(), names.next()) {
        (Some(name), None) => {
            Ok(name.trim_start_matches("docker.io/").trim_start_matches("library/").to_owned())
        }
        (found, _) => {
            let count = if found.is_some() { "several names" } else { "no name" };
            Err(Problem::new(ErrorCode::BadRequest, format!("The archive has {count} for the image in it."))
                .with_action("Say what it is to be called: `name=NAME:TAG`, or `--name NAME:TAG`."))
        }
    }
}

#[cfg(test)]
mod tests;
