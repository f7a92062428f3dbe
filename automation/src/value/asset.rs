//! Files and folders as values. Content is read by the engine and the providers, not here.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

/// One file's content (Pulumi: *asset*). A relative path is relative to the project's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Where the content comes from.
    pub source: AssetSource,
    /// SHA-256 of the content, as hexadecimal text. The engine computes it when it is empty.
    pub hash: String,
}

/// Where an [`Asset`]'s content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AssetSource {
    /// The content itself. Also what an asset becomes whose content the engine has left out.
    Text(String),
    /// A file of this machine.
    Path(String),
    /// A `http://`, `https://` or `file://` address.
    Uri(String),
}

impl Asset {
    /// This text as a file (Pulumi: `StringAsset`).
    pub fn text(text: impl Into<String>) -> Self {
        Self { source: AssetSource::Text(text.into()), hash: String::new() }
    }

    /// A file of this machine (Pulumi: `FileAsset`).
    pub fn path(path: impl Into<String>) -> Self {
        Self { source: AssetSource::Path(path.into()), hash: String::new() }
    }

    /// What an address answers with (Pulumi: `RemoteAsset`).
    pub fn uri(uri: impl Into<String>) -> Self {
        Self { source: AssetSource::Uri(uri.into()), hash: String::new() }
    }

    pub(super) fn reveal(&self) -> Json {
        let (key, content) = match &self.source {
            AssetSource::Text(text) => ("text", text),
            AssetSource::Path(path) => ("path", path),
            AssetSource::Uri(uri) => ("uri", uri),
        };
        parts(key, content.clone().into(), &self.hash)
    }
}

/// A folder's content (Pulumi: *archive*). A relative path is relative to the project's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Where the content comes from.
    pub source: ArchiveSource,
    /// SHA-256 of the content, as hexadecimal text. The engine computes it when it is empty.
    pub hash: String,
}

/// Where an [`Archive`]'s content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArchiveSource {
    /// Files and folders by their path in it.
    Assets(BTreeMap<String, ArchiveEntry>),
    /// A folder, or a `.tar`, `.tgz`, `.tar.gz`, `.zip` or `.jar` file, of this machine.
    Path(String),
    /// The address of such a file.
    Uri(String),
}

/// One entry of an [`ArchiveSource::Assets`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArchiveEntry {
    /// A file.
    Asset(Asset),
    /// A folder.
    Archive(Archive),
}

impl Archive {
    /// A folder of these entries (Pulumi: `AssetArchive`).
    pub fn assets(entries: impl IntoIterator<Item = (String, ArchiveEntry)>) -> Self {
        Self { source: ArchiveSource::Assets(entries.into_iter().collect()), hash: String::new() }
    }

    /// A folder or packed folder of this machine (Pulumi: `FileArchive`).
    pub fn path(path: impl Into<String>) -> Self {
        Self { source: ArchiveSource::Path(path.into()), hash: String::new() }
    }

    /// The packed folder that an address answers with (Pulumi: `RemoteArchive`).
    pub fn uri(uri: impl Into<String>) -> Self {
        Self { source: ArchiveSource::Uri(uri.into()), hash: String::new() }
    }

    pub(super) fn reveal(&self) -> Json {
        match &self.source {
            ArchiveSource::Path(path) => parts("path", path.clone().into(), &self.hash),
            ArchiveSource::Uri(uri) => parts("uri", uri.clone().into(), &self.hash),
            ArchiveSource::Assets(entries) => {
                let entries = entries.iter().map(|(name, entry)| (name.clone(), entry.reveal()));
                parts("assets", Json::Object(entries.collect()), &self.hash)
            }
        }
    }
}

impl ArchiveEntry {
    fn reveal(&self) -> Json {
        match self {
            ArchiveEntry::Asset(asset) => asset.reveal(),
            ArchiveEntry::Archive(archive) => archive.reveal(),
        }
    }
}

fn parts(key: &str, content: Json, hash: &str) -> Json {
    let mut parts = Map::from_iter([(key.to_owned(), content)]);
    if !hash.is_empty() {
        parts.insert("hash".to_owned(), hash.into());
    }
    Json::Object(parts)
}
