//! An image in a file, as `docker save` writes it: a list of what is in it, its configuration, and its layers.
//!
//! The file is read in place, by where each part begins; nothing is unpacked. Layers are compressed into a temporary file, one at a time:
//! a registry wants to know the digest of what comes before it is there.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256, digest as hash};
use bytes::Bytes;
use contracts::ErrorCode;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::Stream;
use provider_api::{ProviderError, Result};
use serde_json::Value;
use tokio_util::io::ReaderStream;

/// What is in both forms of such an archive.
const LIST: &str = "manifest.json";
/// What is no layer is small.
const LARGEST: u64 = 8 << 20;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Where a layer is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layer {
    at: u64,
    pub size: u64,
}

#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    pub layers: Vec<Layer>,
    pub config: Bytes,
    pub architecture: Option<String>,
}

/// Content that is ready to be sent.
pub(super) struct Blob {
    pub digest: String,
    pub size: u64,
    file: tempfile::NamedTempFile,
}

pub(super) fn digest(content: &[u8]) -> String {
    named(hash(&SHA256, content).as_ref())
}

fn named(hash: &[u8]) -> String {
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

impl Archive {
    pub async fn open(path: PathBuf) -> Result<Self> {
        apart(move || Self::read(&path).map_err(|error| unusable(&path, error))).await
    }

    fn read(path: &Path) -> io::Result<Self> {
        let mut parts = HashMap::new();
        let mut links = HashMap::new();
        let mut archive = tar::Archive::new(File::open(path)?);
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            let name = entry.path()?.to_string_lossy().into_owned();
            match entry.link_name()? {
                // A layer that is there twice is a link to the first.
                Some(to) => links.insert(name.clone(), beside(&name, &to)).map(drop),
                None => {
                    let part = Layer { at: entry.raw_file_position(), size: entry.size() };
                    parts.insert(name, part).map(drop)
                }
            };
        }
        let find = |name: &str| {
            let target = links.get(name).map_or(name, String::as_str);
            parts.get(target).copied().ok_or_else(|| invalid(format!("it has no {name}")))
        };
        let mut file = File::open(path)?;
        let list: Value = serde_json::from_slice(&small(&mut file, find(LIST)?)?).map_err(invalid)?;
        let [image] = list.as_array().map(Vec::as_slice).unwrap_or_default() else {
            return Err(invalid("it holds not one image but several or none".to_owned()));
        };
        let config = image["Config"].as_str().ok_or_else(|| invalid("its list names no configuration"))?;
        let config = Bytes::from(small(&mut file, find(config)?)?);
        let names = image["Layers"].as_array().ok_or_else(|| invalid("its list names no layers"))?;
        let layers = names.iter().map(|name| find(name.as_str().unwrap_or_default()));
        let layers = layers.collect::<io::Result<_>>()?;
        let described: Value = serde_json::from_slice(&config).map_err(invalid)?;
        let architecture = described["architecture"].as_str().map(str::to_owned);
        Ok(Self { path: path.to_owned(), layers, config, architecture })
    }

    /// A layer as registries have it. One that is compressed already stays as it is.
    pub async fn compress(&self, layer: &Layer) -> Result<Blob> {
        let (path, layer) = (self.path.clone(), *layer);
        apart(move || Self::packed(&path, layer).map_err(|error| unusable(&path, error))).await
    }

    fn packed(path: &Path, layer: Layer) -> io::Result<Blob> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(layer.at))?;
        let mut content = file.take(layer.size);
        let mut begin = Vec::new();
        content.by_ref().take(2).read_to_end(&mut begin)?;
        let mut whole = begin.as_slice().chain(content);
        // Beside the archive, where there is room for such.
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut counted = Counted::new(tempfile::NamedTempFile::new_in(folder)?);
        if begin == GZIP {
            io::copy(&mut whole, &mut counted)?;
        } else {
            let mut packed = GzEncoder::new(&mut counted, Compression::default());
            io::copy(&mut whole, &mut packed)?;
            packed.finish()?;
        }
        counted.finish()
    }
}

impl Blob {
    pub fn of(content: Bytes) -> Result<Self> {
        let made = || {
            let mut counted = Counted::new(tempfile::NamedTempFile::new()?);
            counted.write_all(&content)?;
            counted.finish()
        };
        made().map_err(|error| unusable(Path::new("a temporary file"), error))
    }

    pub async fn stream(&self) -> Result<impl Stream<Item = io::Result<Bytes>> + use<>> {
        let file = tokio::fs::File::open(self.file.path()).await;
        file.map(ReaderStream::new).map_err(|error| unusable(self.file.path(), error))
    }
}

/// Writes, and knows what it has written.
struct Counted {
    file: tempfile::NamedTempFile,
    hash: Context,
    size: u64,
}

impl Counted {
    fn new(file: tempfile::NamedTempFile) -> Self {
        Self { file, hash: Context::new(&SHA256), size: 0 }
    }

    fn finish(mut self) -> io::Result<Blob> {
        self.file.flush()?;
        Ok(Blob { digest: named(self.hash.finish().as_ref()), size: self.size, file: self.file })
    }
}

impl Write for Counted {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let written = self.file.write(content)?;
        self.hash.update(&content[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn small(file: &mut File, part: Layer) -> io::Result<Vec<u8>> {
    if part.size > LARGEST {
        return Err(invalid("a description in it is larger than any is"));
    }
    file.seek(SeekFrom::Start(part.at))?;
    let mut content = Vec::new();
    file.take(part.size).read_to_end(&mut content)?;
    Ok(content)
}

/// Where a link in an archive leads, by its own name: `a/layer.tar` to `../b/layer.tar` is `b/layer.tar`.
fn beside(name: &str, to: &Path) -> String {
    let mut words: Vec<&str> = name.split('/').collect();
    words.pop();
    let to = to.to_string_lossy();
    for word in to.split('/') {
        match word {
            ".." => drop(words.pop()),
            "." | "" => {}
            word => words.push(word),
        }
    }
    words.join("/")
}

fn invalid(why: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_string())
}

fn unusable(path: &Path, error: io::Error) -> ProviderError {
    let code = match error.kind() {
        io::ErrorKind::StorageFull => ErrorCode::StoreFull,
        // What `tar` says of a file that is no archive is of the kind `Other`.
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::Other => {
            ErrorCode::BadRequest
        }
        _ => ErrorCode::Internal,
    };
    ProviderError::new(code, format!("the image's archive {} cannot be used: {error}", path.display()))
        .with_action("`docker save -o FILE IMAGE` writes one.")
}

/// Reading and compressing are no work for a thread that others wait for.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(ProviderError::new(ErrorCode::Internal, error.to_string())))
}
