//! What a registry is sent: content with its digest, in a temporary file.
//!
//! A registry wants to know the digest of what comes before it is there. Layers are compressed into a file, one at a time.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256, digest as hash};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::Stream;
use provider_api::Result;
use provider_kit::archive::{Archive, Part, apart, unusable};
use tokio_util::io::ReaderStream;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

const GZIPPED: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTANDARD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

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

impl Blob {
    pub fn of(content: &[u8]) -> Result<Self> {
        let made = || {
            let mut counted = Counted::new(tempfile::NamedTempFile::new()?);
            counted.write_all(content)?;
            counted.finish()
        };
        made().map_err(|error| unusable(Path::new("a temporary file"), &error))
    }

    /// A layer as registries have it, and its media type. One that is compressed already stays as it is.
    pub async fn of_layer(archive: &Arc<Archive>, layer: Part) -> Result<(Self, &'static str)> {
        let archive = archive.clone();
        apart(move || Self::packed(&archive, layer).map_err(|error| unusable(archive.path(), &error))).await
    }

    fn packed(archive: &Archive, layer: Part) -> io::Result<(Self, &'static str)> {
        let mut content = archive.content(layer)?;
        let mut begin = Vec::new();
        content.by_ref().take(4).read_to_end(&mut begin)?;
        let mut whole = begin.as_slice().chain(content);
        // Beside the archive, where there is room for such.
        let folder = archive.path().parent().unwrap_or(Path::new("."));
        let mut counted = Counted::new(tempfile::NamedTempFile::new_in(folder)?);
        let is_zstd = begin.starts_with(ZSTD);
        if begin.starts_with(GZIP) || is_zstd {
            io::copy(&mut whole, &mut counted)?;
        } else {
            let mut packed = GzEncoder::new(&mut counted, Compression::default());
            io::copy(&mut whole, &mut packed)?;
            packed.finish()?;
        }
        Ok((counted.finish()?, if is_zstd { ZSTANDARD } else { GZIPPED }))
    }

    pub async fn stream(&self) -> Result<impl Stream<Item = io::Result<Bytes>> + use<>> {
        let file = tokio::fs::File::open(self.file.path()).await;
        file.map(ReaderStream::new).map_err(|error| unusable(self.file.path(), &error))
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
