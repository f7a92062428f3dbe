//! An image in a file: as `docker save` writes it, or an OCI layout as tar. What is in it, and where.
//!
//! The file is read in place, by where each part begins; nothing is unpacked. What is described there is small, and is not taken for
//! more than it can be.

mod parts;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use contracts::ErrorCode;
use provider_api::{ProviderError, Result};
use serde_json::Value;

use crate::apart::apart;
pub use parts::is_image;
use parts::{LIST, Parts};

/// What instances run on.
const SYSTEM: &str = "linux";

/// Where a part is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    at: u64,
    /// In bytes.
    pub size: u64,
}

/// One of an image's layers, and what it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Where it is.
    pub part: Part,
    /// For words: its name in the file.
    pub name: String,
    /// Of the content as it is in the file, where the file says it.
    pub digest: Option<String>,
    /// Of the content when nothing of it is compressed, where the configuration says it.
    pub diff_id: Option<String>,
}

/// The one image of a file.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    /// The lowest first.
    pub layers: Vec<Layer>,
    /// As it is in the file.
    pub config: Vec<u8>,
    /// In OCI's words, where the image says.
    pub architecture: Option<String>,
    /// The names that an engine gives it which loads the file.
    pub names: BTreeSet<String>,
    /// Of the whole file.
    pub size: u64,
    /// It has what `docker save` writes, which every engine loads; else it is an OCI layout alone.
    pub is_saved: bool,
}

impl Archive {
    /// Reads what is described in it; `bad_request` where it is no such file, `image_unusable` where it is for another system than Linux.
    pub async fn open(path: PathBuf) -> Result<Self> {
        apart(move |_| Self::read(&path).map_err(|error| unusable(&error))).await
    }

    fn read(path: &Path) -> io::Result<Self> {
        let mut parts = Parts::of(path)?;
        let is_saved = parts.has(LIST);
        let described = if is_saved { parts.saved()? } else { parts.layout()? };
        let config = parts.small(described.config)?;
        let image: Value = serde_json::from_slice(&config).map_err(invalid)?;
        let system = image["os"].as_str().filter(|name| !name.is_empty() && *name != SYSTEM);
        if let Some(system) = system {
            return Err(foreign(system));
        }
        let mut layers = described.layers;
        if let Some(ids) = image["rootfs"]["diff_ids"].as_array() {
            if ids.len() != layers.len() {
                let (named, there) = (ids.len(), layers.len());
                return Err(invalid(format!("its configuration is of {named} layers, and it has {there}")));
            }
            for (layer, id) in layers.iter_mut().zip(ids) {
                layer.diff_id = id.as_str().map(str::to_owned);
            }
        }
        let architecture = image["architecture"].as_str().filter(|name| !name.is_empty());
        Ok(Self {
            path: path.to_owned(),
            layers,
            architecture: architecture.map(str::to_owned),
            names: described.names,
            size: parts.file.metadata()?.len(),
            config,
            is_saved,
        })
    }

    /// The file that it is in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content of a layer, from its beginning.
    pub fn content(&self, layer: &Layer) -> io::Result<impl Read + use<>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(layer.part.at))?;
        Ok(file.take(layer.part.size))
    }
}

fn invalid(why: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}

/// Images for several processors under one name, or several images.
fn several(platforms: BTreeSet<String>, names: BTreeSet<String>) -> io::Error {
    let listed = |all: BTreeSet<String>| all.into_iter().collect::<Vec<_>>().join(", ");
    let (what, action) = match platforms.len() {
        0 | 1 => (
            if names.is_empty() { String::new() } else { format!(": {}", listed(names)) },
            "Save one of them alone: `docker save -o FILE IMAGE`.".to_owned(),
        ),
        _ => (
            format!(", for {}", listed(platforms)),
            "Save the one for the machines that are to run it, `docker save --platform linux/amd64 -o FILE IMAGE`, or build \
             that alone, `docker build --platform linux/amd64`."
                .to_owned(),
        ),
    };
    let message = format!("the image's archive holds several images{what}");
    io::Error::other(ProviderError::new(ErrorCode::BadRequest, message).with_action(action))
}

/// A whole archive that is compressed: where a part begins in it is not known before all of it is unpacked.
fn compressed(by: &str, unpacks: &str) -> io::Error {
    io::Error::other(
        ProviderError::new(
            ErrorCode::BadRequest,
            format!("the image's archive is compressed by {by}, and is taken as it was before that"),
        )
        .with_action(format!("Unpack it first: `{unpacks} FILE`.")),
    )
}

/// An image for a system that instances do not run on.
fn foreign(system: &str) -> io::Error {
    io::Error::other(
        ProviderError::new(
            ErrorCode::ImageUnusable,
            format!("the image is for {system}, and instances run on {SYSTEM}"),
        )
        .with_action("Build it for Linux (`docker build --platform linux/amd64`)."),
    )
}

/// What an error with an archive, or with what is made of it, means to who has given it. Neither where it is here nor what is in it is
/// told.
pub fn unusable(error: &io::Error) -> ProviderError {
    let known = error.get_ref().and_then(|inner| inner.downcast_ref::<ProviderError>());
    if let Some(known) = known {
        return known.clone();
    }
    let code = match error.kind() {
        io::ErrorKind::StorageFull => ErrorCode::StoreFull,
        io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::Other => ErrorCode::BadRequest,
        _ => ErrorCode::Internal,
    };
    ProviderError::new(code, format!("the image's archive cannot be used: {error}"))
        .with_action("`docker save -o FILE IMAGE` writes one.")
}

#[cfg(test)]
mod tests;
